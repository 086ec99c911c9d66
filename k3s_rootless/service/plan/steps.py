"""The types of steps in a plan.

Each step describes itself and names its cause. `--dry-run`, the progress output and the tests use
the same description.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reexecute:
    """Re-execute the user manager, so that it detects its cgroup controllers."""

    cause: str

    def describe(self) -> str:
        """Return a description of the step."""
        return "re-execute systemd --user (running services are not affected)"


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write a file of the unit atomically.

    If `backup` is set, an existing file is first copied to that path.
    """

    path: Path
    text: str
    cause: str
    backup: Path | None = None
    mode: int = 0o644

    def describe(self) -> str:
        """Return a description of the step."""
        if self.backup is None:
            return f"write {self.path}"
        return f"write {self.path}, keeping the old file as {self.backup.name}"


class WriteUnit(WriteFile):
    """Write the unit file."""


class WriteDropIn(WriteFile):
    """Write one of our drop-ins."""


@dataclass(frozen=True, slots=True)
class SetMode:
    """Set the mode of one of our files, so that other users cannot access it.

    The text does not change, so a running K3s is not restarted.
    """

    path: Path
    mode: int
    cause: str

    def describe(self) -> str:
        """Return a description of the step."""
        return f"set the mode of {self.path} to {self.mode:04o}"


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file of the unit; if `backup` is set, copy the file to that path first."""

    path: Path
    cause: str
    backup: Path | None = None

    def describe(self) -> str:
        """Return a description of the step."""
        if self.backup is None:
            return f"remove {self.path}"
        return f"remove {self.path}, keeping it as {self.backup.name}"


class RemoveLink(Remove):
    """Remove the link that starts the unit with the user manager, if systemd cannot remove it."""


@dataclass(frozen=True, slots=True)
class RemoveDirectory:
    """Remove the directory of the drop-ins if it is empty."""

    path: Path
    cause: str

    def describe(self) -> str:
        """Return a description of the step."""
        return f"remove {self.path}"


@dataclass(frozen=True, slots=True)
class Reload:
    """Reload the unit files in the user manager."""

    cause: str

    def describe(self) -> str:
        """Return a description of the step."""
        return "reload the user manager"


@dataclass(frozen=True, slots=True)
class ClearState:
    """Remove the files that a killed K3s left in its state directory."""

    paths: tuple[Path, ...]
    cause: str

    def describe(self) -> str:
        """Return a description of the step."""
        return f"remove {', '.join(path.name for path in self.paths)} from {self.paths[0].parent}"


@dataclass(frozen=True, slots=True)
class RotateCertificates:
    """Remove the certificates of K3s, so that its next start issues new ones.

    The next start also writes the kubeconfigs. `argv` is the command, `environ` its environment,
    and `state` the state directory of rootlesskit. K3s must not run: without its certificates it
    fails at once (observed with v1.36.3).
    """

    unit: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    state: Path
    cause: str

    def describe(self) -> str:
        """Return a description of the step."""
        return f"renew K3s's certificates: {' '.join(self.argv)}"


@dataclass(frozen=True, slots=True)
class UnitStep:
    """One call to the user manager about the unit.

    `verb` is the name of the call in the description.
    """

    verb: ClassVar[str]
    unit: str
    cause: str

    def describe(self) -> str:
        """Return a description of the step."""
        return f"{self.verb} {self.unit}"


class ResetFailed(UnitStep):
    """Reset the failed state of the unit."""

    verb = "reset the failed state of"


class Enable(UnitStep):
    """Let the unit start with the user manager."""

    verb = "enable"


class Disable(UnitStep):
    """Stop the unit from starting with the user manager."""

    verb = "disable"


class Start(UnitStep):
    """Start the unit."""

    verb = "start"


class Restart(UnitStep):
    """Stop the unit and start it again."""

    verb = "restart"


class Stop(UnitStep):
    """Stop the unit."""

    verb = "stop"


Step = (
    Reexecute
    | WriteFile
    | SetMode
    | Remove
    | RemoveDirectory
    | Reload
    | ClearState
    | RotateCertificates
    | ResetFailed
    | Enable
    | Disable
    | Start
    | Restart
    | Stop
)


def document(step: Step) -> dict[str, Any]:
    """Return a step in its JSON form."""
    return {"step": type(step).__name__, "does": step.describe(), "cause": step.cause}
