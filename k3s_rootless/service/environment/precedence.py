"""Which of several values of a variable counts, and where it comes from (systemd.exec(5); seen with
systemd 247 to 262).

From the weakest to the strongest: what K3s does without any; environment.d; what the user manager
was given (`systemctl --user set-environment`) or started with; `Environment=` of the unit and its
drop-ins, of which the last counts; `EnvironmentFile=`, wherever that line is.
`UnsetEnvironment=` comes after all of them.
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
    """Where a value comes from."""

    DEFAULT = "default"
    ENVIRONMENT_D = "environment.d"
    MANAGER = "manager"
    UNIT = "unit"
    DROP_IN = "drop-in"
    ENVIRONMENT_FILE = "EnvironmentFile"
    UNSET = "UnsetEnvironment"


@dataclass(frozen=True, slots=True)
class Layer:
    """One place that says something about a variable; `value` is None where it takes the variable
    away.

    `path` is the file, as far as it is known.
    """

    origin: Origin
    value: str | None
    path: Path | None = None

    @property
    def place(self) -> str:
        """Where this is, as text."""
        if self.path is None:
            return self.origin.value
        return f"{self.origin.value} {self.path}"


@dataclass(frozen=True, slots=True)
class EnvironmentFile:
    """One file that an `EnvironmentFile=` names, with what it assigns, or why that is unknown."""

    path: Path
    values: Observed[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Sources:
    """All that is known about the environment of the unit's next start.

    `manager` is what the user manager hands to each unit, `generated` what environment.d made of
    it, each with the file that names it; `unit` and `unset` are as systemd has merged them, `files`
    the unit file and its drop-ins in systemd's order.
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
    """A variable as the next start will have it: all layers from the weakest to the strongest, and
    what leaves it in doubt.
    """

    layers: tuple[Layer, ...]
    doubt: str = ""

    @property
    def value(self) -> str | None:
        """What the process will find; None for nothing."""
        return self.last.value

    @property
    def last(self) -> Layer:
        """The layer that counts; K3s's own default without one."""
        if not self.layers:
            return Layer(Origin.DEFAULT, None)
        return self.layers[-1]

    def above(self, origin: Origin, file: str = "") -> tuple[Layer, ...]:
        """Return the layers that shadow a value of this origin, and of the file of this name, if it
        is given.

        Of the unit and its drop-ins only the one that counts is a layer: another one shadows.
        """
        for number, one in enumerate(self.layers):
            if one.origin is origin:
                same = not file or (one.path is not None and one.path.name == file)
                return self.layers[number + same :]
        return ()


def resolve(name: str, sources: Sources) -> Resolved:
    """Return what a variable's value will be, and its layers."""
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
    """Return the variables that have another value in a running process than in the next one.

    Empty is as good as not set: K3s and Go treat both in the same way.
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

    The name of a drop-in ends in `.conf`, that of a unit does not (systemd.unit(5)).
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
