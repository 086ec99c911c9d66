"""Properties of transient units, each with its D-Bus signature (systemd's StartTransientUnit)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3s_rootless.service.facts import UnitState

Properties = dict[str, tuple[str, Any]]


def inherited(unit: UnitState) -> Properties:
    """Return the environment, the working directory and the delegation of a unit of K3s."""
    environment = unit.environment or {}
    found: Properties = {
        "Environment": ("as", [f"{name}={value}" for name, value in environment.items()]),
        "EnvironmentFiles": ("a(sb)", [list(one) for one in unit.environment_files]),
        "UnsetEnvironment": ("as", list(unit.unset)),
        "Delegate": ("b", True),
    }
    if unit.working_directory is not None:
        found["WorkingDirectory"] = ("s", str(unit.working_directory))
    return found


def command(argv: Iterable[str]) -> tuple[str, Any]:
    """Return the value of ExecStart or ExecStopPost for one command; its failure counts."""
    words = list(argv)
    return "a(sasb)", [[words[0], words, False]]


def literal(word: str) -> str:
    """Return a word of a command in which systemd expands no variable."""
    return word.replace("$", "$$")
