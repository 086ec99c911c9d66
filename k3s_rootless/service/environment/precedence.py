"""Order of precedence of the sources that set a variable of K3s.

Source: systemd.exec(5); observed with systemd 247 to 262. From the weakest to the strongest:

- the default of K3s, without any variable;
- environment.d;
- the environment with which the user manager was started, with later changes by
  `systemctl --user set-environment`;
- `Environment=` of the unit and its drop-ins, of which the last assignment counts;
- `EnvironmentFile=`, at any place in the files.

`UnsetEnvironment=` applies after all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Observed
from k3s_rootless.service.environment import assignments

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.service.facts import FoundFile


class Origin(Enum):
    """Kind of source from which a value comes."""

    DEFAULT = "default"
    ENVIRONMENT_D = "environment.d"
    MANAGER = "manager"
    UNIT = "unit"
    DROP_IN = "drop-in"
    ENVIRONMENT_FILE = "EnvironmentFile"
    UNSET = "UnsetEnvironment"


@dataclass(frozen=True, slots=True)
class Layer:
    """One source that sets or removes a variable; `value` is None if it removes the variable.

    `path` is the file of the source, None if it is not known.
    """

    origin: Origin
    value: str | None
    path: Path | None = None

    @property
    def place(self) -> str:
        """The source as text, with its file if that is known."""
        if self.path is None:
            return self.origin.value
        return f"{self.origin.value} {self.path}"


@dataclass(frozen=True, slots=True)
class EnvironmentFile:
    """A file that an `EnvironmentFile=` names.

    `values` holds the assignments of the file, or the reason why they are unknown.
    """

    path: Path
    values: Observed[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Sources:
    """All that is known about the environment of the unit's next start.

    `manager` is the environment that the user manager passes to each unit. `generated` holds the
    values that result from environment.d, each with the file that assigns it. `unit` and `unset`
    are the values that systemd merged from the unit and its drop-ins. `files` are the unit file and
    its drop-ins, in the order of systemd.
    """

    manager: Mapping[str, str] = field(default_factory=dict)
    generated: Mapping[str, tuple[str, Path]] = field(default_factory=dict)
    unit: Mapping[str, str] = field(default_factory=dict)
    unset: tuple[str, ...] = ()
    files: tuple[FoundFile, ...] = ()
    environment_files: tuple[EnvironmentFile, ...] = ()

    def names(self) -> frozenset[str]:
        """Return the names of all variables of these sources."""
        known = {
            name
            for file in self.environment_files
            if isinstance(file.values, Known)
            for name in file.values.value
        }
        return frozenset({*self.manager, *self.unit, *known})


@dataclass(frozen=True, slots=True)
class Resolved:
    """A variable in the next start: its layers from the weakest to the strongest.

    `doubt` is the reason why the value is uncertain, empty if it is certain.
    """

    layers: tuple[Layer, ...]
    doubt: str = ""

    @property
    def value(self) -> str | None:
        """The value in the next start; None if the variable is not set."""
        return self.last.value

    @property
    def last(self) -> Layer:
        """The layer that counts; the default of K3s if there is no layer."""
        if not self.layers:
            return Layer(Origin.DEFAULT, None)
        return self.layers[-1]

    def above(self, origin: Origin, file: str = "") -> tuple[Layer, ...]:
        """Return the layers that shadow a value from this origin.

        If `file` is given, the value is the one in the file of this name. The unit and its drop-ins
        together have one layer, for the assignment that counts. If this assignment is in another
        file, this layer shadows the value, too.
        """
        for number, one in enumerate(self.layers):
            if one.origin is origin:
                same = not file or (one.path is not None and one.path.name == file)
                return self.layers[number + same :]
        return ()


def resolve(name: str, sources: Sources) -> Resolved:
    """Return the value of a variable in the next start, and its layers."""
    layers: list[Layer] = []
    if name in sources.manager:
        layers.append(_of_manager(name, sources))
    if name in sources.unit:
        layers.append(_of_unit(name, sources))
    doubts = []
    for file in sources.environment_files:
        if not isinstance(file.values, Known):
            doubts.append(file.values.reason)
        elif name in file.values.value:
            layers.append(Layer(Origin.ENVIRONMENT_FILE, file.values.value[name], file.path))
    if layers and (name in sources.unset or f"{name}={layers[-1].value}" in sources.unset):
        layers.append(Layer(Origin.UNSET, None, _unset_by(name, sources.files)))
    return Resolved(tuple(layers), "; ".join(doubts))


def differing(
    names: Iterable[str], sources: Sources, running: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the variables that differ between a running process and the next start.

    A variable with an uncertain value is left out. An empty variable is treated like one that is
    not set, as K3s and Go do.
    """
    resolved = {name: resolve(name, sources) for name in names}
    return tuple(
        name
        for name, one in resolved.items()
        if not one.doubt and (one.value or "") != (running.get(name) or "")
    )


def _of_manager(name: str, sources: Sources) -> Layer:
    value = sources.manager[name]
    generated = sources.generated.get(name)
    if generated is not None and generated[0] == value:
        return Layer(Origin.ENVIRONMENT_D, value, generated[1])
    return Layer(Origin.MANAGER, value)


def _of_unit(name: str, sources: Sources) -> Layer:
    """Return the layer of the unit, with the file that assigns the variable.

    Only the name of a drop-in ends in `.conf`, never the name of a unit (systemd.unit(5)).
    """
    path: Path | None = None
    for file in sources.files:
        for line in assignments.of_unit(file.text or ""):
            if line is None:
                path = None
            elif name in line:
                path = file.path
    origin = Origin.UNIT
    if path is not None and path.suffix == ".conf":
        origin = Origin.DROP_IN
    return Layer(origin, sources.unit[name], path)


def _unset_by(name: str, files: tuple[FoundFile, ...]) -> Path | None:
    path: Path | None = None
    for file in files:
        for words in assignments.unset_by(file.text or ""):
            if words is None:
                path = None
            elif any(word.partition("=")[0] == name for word in words):
                path = file.path
    return path
