"""Find the files of containerd, and the containerd that K3s brings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import trust
from k3s_rootless.k3s import layout
from k3s_rootless.node.containerd import files, forms
from k3s_rootless.node.containerd.facts import Form, Found, Part
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.node import surroundings
from k3s_rootless.paths import UNIT
from k3s_rootless.service.observe import files as unit_files

if TYPE_CHECKING:
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

PROGRAM = "containerd"


@dataclass(frozen=True, slots=True)
class Place:
    """The directory of the files, and what is known of the K3s that reads them.

    `program` is containerd; None if K3s has not unpacked itself yet, or if it is not trusted.
    """

    directory: Path
    data: Path
    state: UnitState
    release: Version | None
    program: Path | None

    @property
    def log(self) -> Path:
        """The log of containerd."""
        return self.data / layout.CONTAINERD_LOG


@dataclass(frozen=True, slots=True)
class Files:
    """The files of a place, and which of them count."""

    place: Place
    found: Found
    parts: tuple[Part, ...]

    @property
    def form(self) -> Form:
        """The form that the next start of K3s uses."""
        return forms.form(self.found, self.place.release)

    @property
    def newer(self) -> tuple[Path, ...]:
        """The files that K3s and containerd read at the next start only."""
        return forms.newer(self.found, self.parts)


def find(context: Context) -> Place:
    """Return where the running K3s has its files, or its next start. Raises RootlessError."""
    context.require_ordinary_user()
    return of(context, context.unit(UNIT))


def of(context: Context, state: UnitState) -> Place:
    """Return where the K3s of a unit has its files."""
    data = server_settings.of(context, state).data
    release = unit_files.release_of(state.fragment)
    directory = data / layout.CONTAINERD_CONFIGURATION
    return Place(directory, data, state, release, _program(state, data))


def read(place: Place) -> Files:
    """Read the files of a place."""
    found = files.read(place.directory)
    return Files(place, found, forms.parts(found, place.release))


def _program(state: UnitState, data: Path) -> Path | None:
    unpacked = surroundings.unpacked(state, data)
    if unpacked is None:
        return None
    program = unpacked / PROGRAM
    if not program.exists() or trust.risk(program):
        return None
    return program
