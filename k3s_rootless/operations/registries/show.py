"""Show the registries of registries.yaml, with the endpoints that containerd requests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.node.registries import endpoints
from k3s_rootless.node.registries.facts import Config, Endpoint, Mirror, Registries
from k3s_rootless.operations.registries import place as places

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.registries.place import Place


@dataclass(frozen=True, slots=True)
class Row:
    """One registry: its endpoints in the order of requests, and its settings."""

    name: str
    endpoints: tuple[Endpoint, ...]
    mirror: Mirror
    config: Config


@dataclass(frozen=True, slots=True)
class Shown:
    """The content of the file; `inside` is its path in K3s's namespaces."""

    path: Path
    inside: str
    exists: bool
    found: Registries
    rows: tuple[Row, ...]
    restart_needed: str

    @property
    def fatal(self) -> bool:
        """Whether K3s does not become ready with this file."""
        return any(one.fatal for one in self.found.problems)


def show(context: Context) -> Shown:
    """Read the file. Raises RootlessError."""
    return of_place(context, places.find(context))


def of_place(context: Context, place: Place) -> Shown:
    """Read the file at a place. Raises RootlessError."""
    file, found = places.read(context, place)
    rows = tuple(_row(found, name, place) for name in found.names)
    return Shown(
        place.path,
        place.inside,
        file.mode is not None,
        found,
        rows,
        places.restart_needed(place),
    )


def _row(found: Registries, name: str, place: Place) -> Row:
    listed = endpoints.of_registry(found, name, without_default=place.without_default)
    return Row(name, listed, found.mirrors.get(name, Mirror()), found.configs.get(name, Config()))
