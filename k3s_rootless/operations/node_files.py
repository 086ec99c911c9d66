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
    return f"the running K3s was started before `{path}` was written"


def _newer_of_containerd(state: UnitState, data: Path) -> str:
    directory = data / layout.CONTAINERD_CONFIGURATION
    found = {path: newer(state, path) for path in directory.glob("*.toml.d/*.toml")}
    found |= {path: newer(state, path) for path in directory.glob("*.toml.tmpl")}
    if not any(found.values()):
        return ""
    # Imported here: few hosts have such a file.
    from k3s_rootless.node.containerd import files, forms

    parts = forms.parts(files.read(directory), unit_files.release_of(state.fragment))
    reasons = [found.get(part.file.path, "") for part in parts if part.read]
    return next(filter(None, reasons), "")
