"""The steps that plans are made of.

Each says what it does and why it is there, so that `--dry-run`, the progress and the tests speak
with one voice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Reexecute:
    """Let the user manager re-execute itself, so that it sees its controllers."""

    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return "let the user manager re-execute itself; running services go on"


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write a file of the unit, whole or not at all; a file that is there is kept under `backup`
    first.
    """

    path: Path
    text: str
    cause: str
    backup: Path | None = None
    mode: int = 0o644

    def describe(self) -> str:
        """Say what the step does."""
        if self.backup is None:
            return f"write {self.path}"
        return f"write {self.path}, keeping the old one as {self.backup.name}"


class WriteUnit(WriteFile):
    """Write the unit file itself."""


class WriteDropIn(WriteFile):
    """Write a drop-in of ours."""


@dataclass(frozen=True, slots=True)
class SetMode:
    """Keep other users out of a file of ours; its text stays, so a running K3s is not restarted."""

    path: Path
    mode: int
    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return f"set the mode of {self.path} to {self.mode:04o}"


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove a file of the unit; it is kept under `backup` first, if that is named."""

    path: Path
    cause: str
    backup: Path | None = None

    def describe(self) -> str:
        """Say what the step does."""
        if self.backup is None:
            return f"remove {self.path}"
        return f"remove {self.path}, keeping it as {self.backup.name}"


class RemoveLink(Remove):
    """Remove the link by which the unit starts with the user manager, if systemd cannot do so."""


@dataclass(frozen=True, slots=True)
class RemoveDirectory:
    """Remove the directory of the drop-ins, if it is empty."""

    path: Path
    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return f"remove {self.path}"


@dataclass(frozen=True, slots=True)
class Reload:
    """Let the user manager read its unit files."""

    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return "reload the user manager"


@dataclass(frozen=True, slots=True)
class ClearState:
    """Remove what a K3s that was killed left in its state directory."""

    paths: tuple[Path, ...]
    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return f"remove {', '.join(path.name for path in self.paths)} from {self.paths[0].parent}"


@dataclass(frozen=True, slots=True)
class RotateCertificates:
    """Remove K3s's certificates, so that its next start issues them, and writes its kubeconfigs.

    `argv` is the command, `environ` its environment, `state` rootlesskit's directory. K3s must not
    run: without its certificates it breaks at once (seen with v1.36.3).
    """

    unit: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(repr=False)
    state: Path
    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return f"renew K3s's certificates: {' '.join(self.argv)}"


@dataclass(frozen=True, slots=True)
class UnitStep:
    """One call to the user manager about the unit; `verb` says in words which one."""

    verb: ClassVar[str]
    unit: str
    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return f"{self.verb} {self.unit}"


class ResetFailed(UnitStep):
    """Let systemd forget that the unit failed."""

    verb = "reset the failed state of"


class Enable(UnitStep):
    """Let the unit start with the user manager."""

    verb = "enable"


class Disable(UnitStep):
    """Stop letting the unit start with the user manager."""

    verb = "disable"


class Start(UnitStep):
    """Start the unit."""

    verb = "start"


class Restart(UnitStep):
    """Stop the unit and start it."""

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
    """Return a step as JSON has it."""
    return {"step": type(step).__name__, "does": step.describe(), "cause": step.cause}
