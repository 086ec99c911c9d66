"""Read what a backup and a restore need to know: the unit, K3s, and its directories."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup import files
from k3s_rootless.backup.facts import Datastore, Origin, Root
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s import layout
from k3s_rootless.observation import Known
from k3s_rootless.operations import first_start, installation, k3s_search, server_settings
from k3s_rootless.paths import UNIT
from k3s_rootless.rootlesskit import state as rootlesskit

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The unit, the settings of K3s, and the directories of its files."""

    state: UnitState
    settings: Settings
    origin: Origin
    roots: Mapping[Root, Path]
    datastore: Datastore

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.roots[Root.DATA]

    @property
    def in_use(self) -> bool:
        """True if a K3s uses the data directory, also one that the unit did not start."""
        return self.state.running or rootlesskit.is_held(self.settings.rootlesskit_state)

    @property
    def configuration(self) -> tuple[Path, ...]:
        """The configuration files that K3s reads."""
        return tuple(one.path for one in self.settings.files if not one.missing)


def read(context: Context, manager: UserManager) -> Surroundings:
    """Read the surroundings. Raises UsageError if the data directory is unknown, RootlessError."""
    state = manager.unit(UNIT)
    settings = server_settings.of(context, state, manager.environment)
    doubt = settings.doubt("data-dir")
    if doubt:
        raise UsageError(
            f"cannot find the data directory of K3s: {doubt}",
            hint="see where the setting comes from: k3s-rootless config get data-dir",
        )
    directory = first_start.unit_directory(manager, context.paths)
    roots = {
        Root.DATA: settings.data,
        Root.HOME: context.paths.home,
        Root.UNIT: installation.drop_in_directory(directory),
        Root.VOLUMES: _storage(settings),
    }
    return Surroundings(
        state,
        settings,
        _origin(context, settings, roots),
        roots,
        files.datastore(settings.data, settings.value("datastore-endpoint").text),
    )


def require_datastore(here: Surroundings) -> None:
    """Raise RootlessError if there is no datastore, or if it is not on this host."""
    if here.datastore is Datastore.EXTERNAL:
        raise RootlessError(
            "cannot back up the cluster: its datastore is external",
            hint="back up that database with its own programs",
        )
    if here.datastore is Datastore.NONE:
        raise RootlessError(
            f"cannot back up the cluster: {here.data} contains no datastore",
            hint="start K3s first: k3s-rootless up",
        )


def node_name(settings: Settings) -> str:
    """Return the name of the node."""
    # Kubernetes has only lower-case names of nodes (K3s pkg/agent/config).
    return (settings.node_name or os.uname().nodename).lower()


def _storage(settings: Settings) -> Path:
    """Return the directory of volumes; a link in its place is kept, and its target used."""
    given = settings.value("default-local-storage-path").text
    path = settings.data / layout.STORAGE
    if given:
        path = settings.directory / given
    return path.resolve() if path.is_symlink() else path


def _origin(context: Context, settings: Settings, roots: Mapping[Root, Path]) -> Origin:
    binary = k3s_search.found(context)
    k3s = None
    if isinstance(binary.version, Known):
        k3s = binary.version.value.text
    system = os.uname()
    return Origin(
        user=context.user,
        node=node_name(settings),
        architecture=system.machine,
        k3s=k3s,
        roots={root: str(path) for root, path in roots.items()},
    )
