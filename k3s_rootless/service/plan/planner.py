"""What has to be done: the unit as it should be against what was found, as a tuple of steps.

Nothing is done here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.service.facts import DesiredDropIn, DesiredUnit, Found, FoundFile, UnitState
from k3s_rootless.service.plan.steps import (
    ClearState,
    Disable,
    Enable,
    Reexecute,
    Reload,
    Remove,
    RemoveDirectory,
    ResetFailed,
    Restart,
    SetMode,
    Start,
    Step,
    Stop,
    WriteDropIn,
    WriteUnit,
)
from k3s_rootless.service.unit import shipped, standing
from k3s_rootless.service.unit.seal import Author, author, digest
from k3s_rootless.service.unit.text import written_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def up(
    desired: DesiredUnit, found: Found, drop_ins: tuple[Step, ...] = (), *, force: bool = False
) -> tuple[Step, ...]:
    """Give the steps that make the unit as desired, enabled and started; none where it is.

    `drop_ins` are the steps that make our drop-ins as desired. A K3s that runs is restarted for
    what these steps change, and not for what somebody else changed: see `dropin.restart_owed`.

    Raises WouldOverwrite where the unit is masked, or was edited or is not ours and `force` was not
    given.
    """
    state = found.state
    written = install(desired, found, drop_ins, force=force)
    steps: list[Step] = (
        [Reexecute("it was started before its cgroup got all controllers")]
        if found.reexecute
        else []
    )
    theirs = (
        found.changed is not None and found.written is not None and found.changed > found.written
    )
    changed = any(isinstance(step, WriteUnit | WriteDropIn | Remove) for step in written)
    changed = changed or found.reexecute or (state.needs_reload and not theirs)
    return (*steps, *written, *_running(found, changed=changed))


def install(
    desired: DesiredUnit, found: Found, drop_ins: tuple[Step, ...] = (), *, force: bool = False
) -> tuple[Step, ...]:
    """Give the steps that make the unit as desired and enabled, and start nothing.

    Raises WouldOverwrite as `up` does.
    """
    state = found.state
    if state.load_state == "masked":
        raise WouldOverwrite(
            f"cannot start `{state.name}`: it is masked, and somebody wanted it so",
            hint=f"systemctl --user unmask {state.name}",
        )
    write = _write(desired, found, force=force)
    # The drop-ins first: should a run be killed in between, the unit is still the old one, and the
    # next run goes on.
    steps: list[Step] = [*drop_ins, *([write] if write is not None else [])]
    if cause := _stale(desired, found, written=write is not None) or (
        "its drop-ins changed" if drop_ins else None
    ):
        steps.append(Reload(cause))
    if state.file_state not in {"enabled", "enabled-runtime"}:
        steps.append(Enable(state.name, "it does not start with the user manager"))
    return tuple(steps)


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


def restart(state: UnitState, leftovers: tuple[Path, ...] = ()) -> tuple[Step, ...]:
    """Give the steps that start the unit anew, with what is configured now."""
    steps: list[Step] = []
    if state.needs_reload:
        steps.append(Reload("the unit changed after systemd read it"))
    # With the count of its starts, which would refuse one more: StartLimitBurst of K3s's unit is 3
    # in a minute, and a restart by hand counts like one after a failure (seen on systemd 257).
    failed = state.active_state == "failed" or state.sub_state.startswith("auto-restart")
    steps.append(
        ResetFailed(
            state.name,
            "it failed before" if failed else "restarts by hand count against its start limit",
        )
    )
    if leftovers:
        return (*steps, *_cleared(state, leftovers), Start(state.name, "it was asked for"))
    return (*steps, Restart(state.name, "it was asked for"))


def renewal(desired: DesiredDropIn, found: FoundFile, *, force: bool = False) -> tuple[Step, ...]:
    """Give the step that builds one of our drop-ins anew, on another unit, if it is needed; what
    somebody edited stays.
    """
    whose = _whose(found)
    if not force and whose is not Author.OURS:
        return ()
    told = (
        f"--force: the drop-in there was {whose.value}" if whose not in {None, Author.OURS} else ""
    )
    return drop_in(
        desired, found, told or "it builds on the unit, which is another now", force=force
    )


def drop_in(
    desired: DesiredDropIn, found: FoundFile, cause: str, *, force: bool = False
) -> tuple[Step, ...]:
    """Give the step that makes one of our drop-ins as desired, if any; reloading is left to whoever
    asks.

    Raises WouldOverwrite where somebody edited it, put another file or a link in its place, and
    `force` was not given.
    """
    if found.problem:
        raise WouldOverwrite(
            f"cannot replace `{found.path}`: {found.problem}",
            hint=f"look at it: ls -l {found.path}",
        )
    whose = _whose(found)
    gone = desired.text is None
    if whose not in {None, Author.OURS} and (gone or found.text != desired.text) and not force:
        raise WouldOverwrite(
            f"cannot {'remove' if gone else 'write'} `{found.path}`: the drop-in there was"
            f" {whose.value}",
            hint=(
                "keep your changes by moving them to a drop-in of your own (`systemctl --user edit"
                " k3s-rootless`), or replace it with `--force`, which keeps a copy"
            ),
        )
    # A link that leads nowhere has nothing to keep.
    kept = (
        backup(found.path, found.text)
        if whose not in {None, Author.OURS} and found.text is not None
        else None
    )
    if desired.text is None:
        return () if whose is None else (Remove(found.path, cause, kept),)
    if found.text == desired.text and not found.link:
        # Somebody may have made it stricter, and not wider than is good for what it holds.
        wider = found.mode & ~desired.mode
        return (
            (SetMode(found.path, desired.mode, f"others can use it: its mode is {found.mode:04o}"),)
            if wider
            else ()
        )
    if found.text == desired.text:
        cause = "it is a link"
    return (WriteDropIn(found.path, desired.text, cause, kept, desired.mode),)


def emptied(
    steps: tuple[Step, ...], there: Mapping[Path, frozenset[str] | None], state: UnitState
) -> tuple[RemoveDirectory, ...]:
    """Give the steps that remove directories of drop-ins in which nothing is left then; `there` is
    what lies in each now.

    Not while K3s runs: the time of the directory is what tells that it was started with a drop-in
    that is gone (`files.last_changed`).
    """
    if state.running or any(isinstance(step, WriteDropIn) for step in steps):
        return ()
    gone = {step.path for step in steps if isinstance(step, Remove) and step.backup is None}
    return tuple(
        RemoveDirectory(directory, "nothing is left in it")
        for directory, names in there.items()
        if names is not None and names <= {path.name for path in gone if path.parent == directory}
    )


def _whose(found: FoundFile) -> Author | None:
    if found.text is None:
        # A link that leads nowhere is somebody's, too.
        return Author.FOREIGN if found.link else None
    return Author.FOREIGN if found.link else author(found.text)


def backup(path: Path, text: str) -> Path:
    """Give the path under which a file's text is kept; another text has another one."""
    return path.with_name(f"{path.name}.{digest(text)[:8]}.bak")


def _write(desired: DesiredUnit, found: Found, *, force: bool) -> WriteUnit | None:
    if found.text is None:
        return WriteUnit(desired.path, desired.text, "the unit file does not exist")
    if found.text == desired.text:
        return None
    whose = author(found.text)
    if whose is Author.OURS and shipped.same(found.text, desired.text) and not desired.given:
        # It came from K3s's own file (--from), whose comments are others.
        return None
    if whose is Author.OURS:
        return WriteUnit(desired.path, desired.text, _lagging(found.text, desired))
    if not force:
        raise WouldOverwrite(
            f"cannot write `{desired.path}`: the unit there was {whose.value}",
            hint=(
                "keep it by moving your changes to a drop-in (`systemctl --user edit"
                " k3s-rootless`), or replace it with `k3s-rootless up --force`, which keeps a copy"
            ),
        )
    return WriteUnit(
        desired.path,
        desired.text,
        f"--force: the unit there was {whose.value}",
        backup(desired.path, found.text),
    )


def _lagging(text: str, desired: DesiredUnit) -> str:
    earlier = written_for(text)
    if desired.given:
        return "it was asked for"
    if earlier != desired.version:
        return f"it was written for K3s {earlier}, and {desired.version} is installed"
    return "it is not what this k3s-rootless writes for the K3s that is installed"


def _stale(desired: DesiredUnit, found: Found, *, written: bool) -> str | None:
    state = found.state
    if written:
        return "the unit file changed"
    if state.needs_reload:
        return "the unit or a drop-in changed after systemd read it"
    if state.fragment != desired.path:
        return "systemd has not read the unit file yet"
    return None


def _cleared(state: UnitState, leftovers: tuple[Path, ...]) -> tuple[Step, ...]:
    if not leftovers:
        return ()
    clear = ClearState(leftovers, "an earlier K3s was killed, and nothing lives there any more")
    # systemd must not start it again while its state directory is cleared.
    return (
        (Stop(state.name, "it waits to be restarted"), clear)
        if state.sub_state.startswith("auto-restart")
        else (clear,)
    )


def _running(found: Found, *, changed: bool) -> tuple[Step, ...]:
    state = found.state
    cleared = _cleared(state, found.leftovers)
    if state.active_state == "failed" or (state.dead and cleared):
        return (
            ResetFailed(state.name, "it failed before"),
            *cleared,
            Start(state.name, "it is not running"),
        )
    if state.sub_state.startswith("auto-restart"):
        # Its earlier deaths count against the start limit, also for a restart that somebody asks
        # for (systemd 257).
        return (
            ResetFailed(state.name, "it failed before"),
            Restart(state.name, "it waits to be restarted after a failure"),
        )
    if state.active_state in {"inactive", "", "deactivating"}:
        return (*cleared, Start(state.name, "it is not running"))
    if changed:
        return (Restart(state.name, "it runs as it was before these changes"),)
    if standing.outdated(state.started, found.written):
        return (Restart(state.name, "it runs since before its unit was written"),)
    return ()
