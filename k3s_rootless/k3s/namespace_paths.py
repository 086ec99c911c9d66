"""Paths that name different files on the host and in K3s's mount namespace.

In the namespace, `<data directory>/etc/rancher` covers /etc/rancher (K3s pkg/rootless/mounts.go).
Other directories are those of the host.
"""

from __future__ import annotations

from pathlib import Path

_COVERED = "/etc/rancher/"


def on_host(path: str, data: Path) -> Path:
    """Return where a file that K3s sees as `path` is on the host; `data` is its data directory."""
    if path.startswith(_COVERED):
        return data / path.removeprefix("/")
    return Path(path)
