"""The JSON documents of `kubeconfig` (docs/reference/json.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k3s_rootless.operations.kubeconfig.merge import Merged
    from k3s_rootless.operations.kubeconfig.removed import Removed
    from k3s_rootless.operations.kubeconfig.show import Located, Shown


def of_shown(shown: Shown) -> dict[str, Any]:
    """Return the document of `kubeconfig show`."""
    return {
        "path": str(shown.path),
        "server": shown.entries.server,
        "context": shown.entries.name,
        "redacted": not shown.raw,
        "kubeconfig": shown.text,
        "errors": [],
    }


def of_located(located: Located) -> dict[str, Any]:
    """Return the document of `kubeconfig path`."""
    return {"path": str(located.path), "exists": located.exists, "errors": []}


def of_merged(merged: Merged) -> dict[str, Any]:
    """Return the document of `kubeconfig merge`."""
    return {
        "dry_run": merged.dry_run,
        "changed": merged.changed,
        "file": str(merged.file),
        "context": merged.name,
        "server": merged.server,
        "current_context": merged.current or None,
        "errors": [],
    }


def of_removed(removed: Removed) -> dict[str, Any]:
    """Return the document of `kubeconfig remove`."""
    return {
        "dry_run": removed.dry_run,
        "changed": bool(removed.files),
        **lists(removed),
        "errors": [one.document() for one in removed.problems],
    }


def lists(removed: Removed) -> dict[str, Any]:
    """Return the files that changed, and the entries that were kept."""
    return {
        "removed": [
            {
                "file": str(one.file),
                "contexts": list(one.contexts),
                "current_context": one.current,
                "referring": list(one.referring),
            }
            for one in removed.files
        ],
        "kept": [{"file": str(file), "context": name} for file, name in removed.kept],
    }
