"""The JSON form of a backup, which several documents contain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from k3s_rootless.backup.facts import Manifest, Root
from k3s_rootless.k3s import layout
from k3s_rootless.printable import json_time

_IMAGES = f"{Root.DATA.value}/{layout.IMAGES}/"


def backup(path: Path, size: int, manifest: Manifest) -> dict[str, Any]:
    """Return the JSON form of a backup; `size` is the size of the archive in bytes."""
    origin = manifest.origin
    return {
        "file": str(path),
        "size": size,
        "created": json_time(manifest.created),
        "k3s_rootless": manifest.tool,
        "k3s": origin.k3s,
        "architecture": origin.architecture,
        "user": origin.user,
        "node": origin.node,
        "datastore": manifest.datastore.value,
        "live": manifest.live,
        "revision": manifest.revision,
        "files": len(manifest.entries),
        "content": manifest.content,
        "volumes": _volumes(manifest),
        "images": sum(one.name.startswith(_IMAGES) for one in manifest.entries),
    }


def _volumes(manifest: Manifest) -> dict[str, Any] | None:
    volumes = manifest.volumes
    if volumes is None:
        return None
    return {
        "names": list(volumes.names),
        "files": volumes.files,
        "content": volumes.content,
        "changed": volumes.changed,
        "consistent": volumes.consistent,
    }


def left_out(manifest: Manifest) -> list[dict[str, str]]:
    """Return the JSON form of what a backup does not contain."""
    return [{"path": one.path, "reason": one.reason} for one in manifest.left_out]
