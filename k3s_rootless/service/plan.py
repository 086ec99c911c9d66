"""What has to be done: the unit as it should be against what was found, as a tuple of steps. Nothing is done here.

Each step says what it does and why it is there, so that `--dry-run`, the progress and the tests speak with one voice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.service import unit
from k3s_rootless.service.facts import DesiredUnit, Found, UnitState

if TYPE_CHECKING:
    from pathlib import Path

_CLOCK_GRAIN = timedelta(seconds=1)
"""File systems and systemd round their times differently; a start within the same second counts as after the write."""


@dataclass(frozen=True, slots=True)
class Reexecute:
    """Let the user manager execute itself anew, so that it sees its controllers."""

    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return "let the user manager re-execute itself; running services go on"


@dataclass(frozen=True, slots=True)
class WriteUnit:
    """Write the unit file, whole or not at all; a file that is there is kept under `backup` first."""

    path: Path
    text: str
    cause: str
    backup: Path | None = None

    def describe(self) -> str:
        """Say what the step does."""
        kept = f", keeping the old one as {self.backup.name}" if self.backup else ""
        return f"write {self.path}{kept}"


@dataclass(frozen=True, slots=True)
class Reload:
    """Let the user manager read its unit files."""

    cause: str

    def describe(self) -> str:
        """Say what the step does."""
        return "reload the user manager"


@dataclass(frozen=True, slots=True)
class UnitStep:
    """One call to the user manager about the unit; `verb` is what it asks for."""

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


Step = Reexecute | WriteUnit | Reload | ResetFailed | Enable | Disable | Start | Restart | Stop


def up(desired: DesiredUnit, found: Found, *, force: bool = False) -> tuple[Step, ...]:
    """Give the steps that make the unit as desired, enabled and started; none where it is.

    Raises WouldOverwrite where the unit is masked, or was edited or is not ours and `force` was not given.
    """
    state = found.state
    if state.load_state == "masked":
        raise WouldOverwrite(
            f"cannot start `{state.name}`: it is masked, and somebody wanted it so",
            hint=f"systemctl --user unmask {state.name}",
        )
    write = _write(desired, found, force=force)
    steps: list[Step] = []
    if found.reexecute:
        steps.append(Reexecute("it was started before its cgroup got all controllers"))
    if write is not None:
        steps.append(write)
    if cause := _stale(desired, state, written=write is not None):
        steps.append(Reload(cause))
    if state.file_state not in {"enabled", "enabled-runtime"}:
        steps.append(Enable(state.name, "it does not start with the user manager"))
    return (*steps, *_running(found, changed=write is not None or found.reexecute or state.needs_reload))


def down(state: UnitState, *, disable: bool) -> tuple[Step, ...]:
    """Give the steps that stop the unit, and with `disable` keep it stopped; none where it is."""
    steps: list[Step] = []
    if state.active_state not in {"inactive", "failed", ""}:
        steps.append(Stop(state.name, f"it is {state.active_state}"))
    if state.active_state == "failed":
        steps.append(ResetFailed(state.name, "it failed before"))
    if disable and state.file_state == "enabled":
        steps.append(Disable(state.name, "it would start with the user manager"))
    return tuple(steps)


def restart(state: UnitState) -> tuple[Step, ...]:
    """Give the steps that start the unit anew, with what is configured now."""
    steps: list[Step] = []
    if state.needs_reload:
        steps.append(Reload("the unit changed after systemd read it"))
    if state.active_state == "failed" or state.sub_state.startswith("auto-restart"):
        # With the count of its starts, which would refuse one more (StartLimitBurst of K3s's unit is 3 in a minute).
        steps.append(ResetFailed(state.name, "it failed before"))
    return (*steps, Restart(state.name, "it was asked for"))


def _write(desired: DesiredUnit, found: Found, *, force: bool) -> WriteUnit | None:
    if found.text is None:
        return WriteUnit(desired.path, desired.text, "it is not installed")
    if found.text == desired.text:
        return None
    author = unit.author(found.text)
    if author is unit.Author.OURS:
        return WriteUnit(desired.path, desired.text, f"it was not written for K3s {desired.version} as it is installed")
    if not force:
        raise WouldOverwrite(
            f"cannot write `{desired.path}`: the unit there was {author.value}",
            hint="keep it by moving your changes to a drop-in (`systemctl --user edit k3s-rootless`), "
            "or replace it with `k3s-rootless up --force`, which keeps a copy",
        )
    backup = desired.path.with_name(f"{desired.path.name}.{unit.digest(found.text)[:8]}.bak")
    return WriteUnit(desired.path, desired.text, f"--force: the unit there was {author.value}", backup)


def _stale(desired: DesiredUnit, state: UnitState, *, written: bool) -> str | None:
    if written:
        return "the unit file changed"
    if state.needs_reload:
        return "the unit file changed after systemd read it"
    if state.fragment != desired.path:
        return "systemd has not read the unit file yet"
    return None


def _running(found: Found, *, changed: bool) -> tuple[Step, ...]:
    state = found.state
    if state.active_state == "failed":
        return (ResetFailed(state.name, "it failed before"), Start(state.name, "it is not running"))
    if state.sub_state.startswith("auto-restart"):
        # Its earlier deaths count against the start limit, also for a restart that somebody asks for (systemd 257).
        return (
            ResetFailed(state.name, "it failed before"),
            Restart(state.name, "it waits to be restarted after a failure"),
        )
    if state.active_state in {"inactive", "", "deactivating"}:
        return (Start(state.name, "it is not running"),)
    if changed:
        return (Restart(state.name, "it runs as it was before these changes"),)
    if found.written and state.started and state.started + _CLOCK_GRAIN < found.written:
        return (Restart(state.name, "it runs since before its unit was written"),)
    return ()
