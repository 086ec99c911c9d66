"""Files of the registries and of containerd, which are read only when K3s starts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless.k3s import layout, namespace_paths
from k3s_rootless.service.observe import files as unit_files
from k3s_rootless.service.unit import pending_changes

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.service.facts import UnitState

REGISTRIES = "private-registry"


def outdated(state: UnitState, settings: Settings) -> str:
    """Return why a running K3s must restart to read these files; empty if it has read them.

    Without its agent, K3s does not read them.
    """
    if settings.agentless:
        return ""
    registries = namespace_paths.on_host(settings.value(REGISTRIES).text, settings.data)
    reason = ""
    # Another path is relative to a directory that only K3s knows.
    if registries.is_absolute():
        reason = newer(state, registries)
    return reason or _newer_of_containerd(state, settings.data)


def newer(state: UnitState, path: Path) -> str:
    """Return why a running K3s must restart to read a file; empty if it has read the file as it is.

    A file that does not exist is not newer.
    """
    if not state.running:
        return ""
    try:
        written = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
    except OSError:
        return ""
    if not pending_changes.outdated(state.started, written):
        return ""
    return pending_changes.started_before(path)


def _newer_of_containerd(state: UnitState, data: Path) -> str:
    directory = data / layout.CONTAINERD_CONFIGURATION
    existing = (*directory.glob("*.toml.tmpl"), *directory.glob("*.toml.d/*.toml"))
    if not any(newer(state, path) for path in existing):
        return ""
    # Imported here: few hosts have such a file.
    from k3s_rootless.node.containerd import files, forms

    found = files.read(directory)
    unread = forms.newer(found, forms.parts(found, unit_files.release_of(state.fragment)))
    # A K3s that is just starting has not rendered the configuration yet.
    reasons = (newer(state, path) for path in unread)
    return next(filter(None, reasons), "")
