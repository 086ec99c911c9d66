"""The JSON documents of the commands for images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import error_document

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3s_rootless.node.images.facts import Image
    from k3s_rootless.operations.images.load import Imported
    from k3s_rootless.operations.images.preload import Preloaded
    from k3s_rootless.operations.images.prune import Pruned


def of_images(found: Iterable[Image]) -> dict[str, Any]:
    """Return the document of `images list`."""
    return {"images": [_image(one) for one in found], "errors": []}


def of_imported(imported: Imported) -> dict[str, Any]:
    """Return the document of `images import`."""
    return {
        "names": list(imported.names),
        "warnings": list(imported.warnings),
        "seconds": round(imported.seconds, 3),
        "errors": [],
    }


def of_preloaded(preloaded: Preloaded) -> dict[str, Any]:
    """Return the document of `images preload`."""
    return {
        "path": str(preloaded.path),
        "names": list(preloaded.names),
        "size": preloaded.size,
        "changed": preloaded.changed,
        "at_once": preloaded.at_once,
        "errors": [],
    }


def of_pruned(pruned: Pruned) -> dict[str, Any]:
    """Return the document of `images prune`."""
    return {
        "dry_run": pruned.dry_run,
        "freed": pruned.freed,
        "removed": [_image(one) for one in pruned.removed],
        "errors": [error_document(problem) for problem in pruned.problems],
    }


def _image(image: Image) -> dict[str, Any]:
    return {
        "id": image.id,
        "names": list(image.names),
        "size": image.size,
        "pinned": image.pinned,
        "preloaded": image.preloaded,
        "used_by": list(image.used_by),
    }
