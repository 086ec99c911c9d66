"""What has to be done: the unit as it should be against what was found, as a tuple of steps. Nothing is done here."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.service.authorship import Author, author, digest
from k3s_rootless.service.facts import DesiredDropIn, DesiredUnit, Found, FoundFile, UnitState
from k3s_rootless.service.steps import (
    Disable,
    Enable,
    Reexecute,
    Reload,
    Remove,
    ResetFailed,
    Restart,
    Start,
    Step,
    Stop,
    WriteDropIn,
    WriteUnit,
)

if TYPE_CHECKING:
    from pathlib import Path

_CLOCK_GRAIN = timedelta(seconds=1)
"""File systems and systemd round their times differently; a start within the same second counts as after the write."""


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
    if state.active_state == "failed":
        # With the count of its starts, which would refuse one more (StartLimitBurst of K3s's unit is 3 in a minute).
        steps.append(ResetFailed(state.name, "it failed before"))
    return (*steps, Restart(state.name, "it was asked for"))


def drop_in(desired: DesiredDropIn, found: FoundFile, cause: str, *, force: bool = False) -> tuple[Step, ...]:
    """Give the step that makes one of our drop-ins as desired, if any; reloading is left to whoever asks.

    Raises WouldOverwrite where somebody edited it, put another file or a link in its place, and `force` was not given.
    """
    if found.problem:
        raise WouldOverwrite(f"cannot replace `{found.path}`: {found.problem}", hint=f"look at it: ls -l {found.path}")
    whose = _whose(found)
    if whose not in {None, Author.OURS} and found.text != desired.text and not force:
        raise WouldOverwrite(
            f"cannot {'write' if desired.text is not None else 'remove'} `{found.path}`: the drop-in there was {whose.value}",
            hint="keep your changes by moving them to a drop-in of your own (`systemctl --user edit k3s-rootless`), "
            "or replace it with `--force`, which keeps a copy",
        )
    backup = _backup(found.path, found.text or "") if whose not in {None, Author.OURS} else None
    if desired.text is None:
        return () if whose is None else (Remove(found.path, cause, backup),)
    if found.text == desired.text and not found.link and found.mode == desired.mode:
        return ()
    if found.text == desired.text:
        cause = "it is a link" if found.link else f"its mode is {found.mode:04o} and not {desired.mode:04o}"
    return (WriteDropIn(found.path, desired.text, cause, backup, desired.mode),)


def _whose(found: FoundFile) -> Author | None:
    if found.text is None:
        # A link that leads nowhere is somebody's, too.
        return Author.FOREIGN if found.link else None
    return Author.FOREIGN if found.link else author(found.text)


def _backup(path: Path, text: str) -> Path:
    return path.with_name(f"{path.name}.{digest(text)[:8]}.bak")


def _write(desired: DesiredUnit, found: Found, *, force: bool) -> WriteUnit | None:
    if found.text is None:
        return WriteUnit(desired.path, desired.text, "it is not installed")
    if found.text == desired.text:
        return None
    whose = author(found.text)
    if whose is Author.OURS:
        return WriteUnit(desired.path, desired.text, f"it was not written for K3s {desired.version} as it is installed")
    if not force:
        raise WouldOverwrite(
            f"cannot write `{desired.path}`: the unit there was {whose.value}",
            hint="keep it by moving your changes to a drop-in (`systemctl --user edit k3s-rootless`), "
            "or replace it with `k3s-rootless up --force`, which keeps a copy",
        )
    return WriteUnit(
        desired.path, desired.text, f"--force: the unit there was {whose.value}", _backup(desired.path, found.text)
    )


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
