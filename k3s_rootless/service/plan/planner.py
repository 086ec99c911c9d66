"""Planner: compares the unit as it should be with the unit as it was read, and returns steps.

This module performs no step.
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
from k3s_rootless.service.unit import pending_changes, shipped
from k3s_rootless.service.unit.seal import Author, author, digest
from k3s_rootless.service.unit.text import written_for

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def up(
    desired: DesiredUnit, found: Found, drop_ins: tuple[Step, ...] = (), *, force: bool = False
) -> tuple[Step, ...]:
    """Return the steps that install, enable and start the unit; empty if nothing has to change.

    `drop_ins` are the steps that write or remove the drop-ins of k3s-rootless. A running K3s is
    restarted for the changes of these steps, but not for changes of another program (see
    `drop_in.restart_pending`).

    Raises WouldOverwrite for a masked unit. Without `force`, also raises it for a unit that was
    edited or that k3s-rootless did not write.
    """
    steps: list[Step] = []
    if found.reexecute:
        steps.append(Reexecute("systemd --user does not use the new cgroup controllers yet"))
    written = install(desired, found, drop_ins, force=force)
    changed = any(isinstance(step, WriteUnit | WriteDropIn | Remove) for step in written)
    unread = found.state.needs_reload and not _changed_by_others(found)
    changed = changed or found.reexecute or unread
    return (*steps, *written, *_running(found, changed=changed))


def _changed_by_others(found: Found) -> bool:
    """Return whether a file of the unit changed after the unit file was written."""
    if found.changed is None or found.written is None:
        return False
    return found.changed > found.written


def install(
    desired: DesiredUnit,
    found: Found,
    drop_ins: tuple[Step, ...] = (),
    *,
    force: bool = False,
    enable: bool = True,
) -> tuple[Step, ...]:
    """Return the steps that install and enable the unit, but do not start it.

    Without `enable`, an enabled unit stays enabled. Raises WouldOverwrite as `up` does.
    """
    state = found.state
    if state.load_state == "masked":
        raise WouldOverwrite(
            f"cannot start `{state.name}`: it is masked",
            hint=f"unmask it: systemctl --user unmask {state.name}",
        )
    # The drop-ins come first: if a run is killed before the unit is written, the unit is still the
    # old one, and the next run continues.
    steps: list[Step] = [*drop_ins]
    write = _write(desired, found, force=force)
    if write is not None:
        steps.append(write)
    cause = _stale(desired, found, written=write is not None)
    if cause is not None:
        steps.append(Reload(cause))
    elif drop_ins:
        steps.append(Reload("the drop-ins changed"))
    if enable and state.file_state not in {"enabled", "enabled-runtime"}:
        steps.append(Enable(state.name, "it does not start with the user manager yet"))
    return tuple(steps)


def down(state: UnitState, *, disable: bool) -> tuple[Step, ...]:
    """Return the steps that stop the unit; empty if the unit is stopped.

    With `disable`, the unit also does not start again with the user manager.
    """
    steps: list[Step] = []
    if not state.at_rest:
        steps.append(Stop(state.name, f"it is {state.active_state}"))
    if state.active_state == "failed":
        steps.append(ResetFailed(state.name, "it failed"))
    if disable and state.file_state == "enabled":
        steps.append(Disable(state.name, "it would start with the user manager"))
    return tuple(steps)


def restart(state: UnitState, leftovers: tuple[Path, ...] = ()) -> tuple[Step, ...]:
    """Return the steps that restart the unit with the current configuration."""
    steps: list[Step] = []
    if state.needs_reload:
        steps.append(Reload("the unit changed after systemd read it"))
    # This resets the count of starts, so that systemd does not refuse another start:
    # StartLimitBurst of the unit is 3 per minute, and a manual restart counts like one after a
    # failure (observed with systemd 257).
    cause = "manual restarts count against its start limit"
    if state.failed:
        cause = "it failed"
    steps.append(ResetFailed(state.name, cause))
    if leftovers:
        return (*steps, *cleared(state, leftovers), Start(state.name, "it was requested"))
    return (*steps, Restart(state.name, "it was requested"))


def renewal(desired: DesiredDropIn, found: FoundFile, *, force: bool = False) -> tuple[Step, ...]:
    """Return the step that rebuilds one of our drop-ins for a changed unit; empty if it is current.

    Without `force`, an edited drop-in is not changed.
    """
    writer = author_of(found)
    if not force and writer is not Author.OURS:
        return ()
    cause = "the unit that it is based on changed"
    if writer is not None and writer is not Author.OURS:
        cause = f"--force: the existing drop-in was {writer.value}"
    return drop_in(desired, found, cause, force=force)


def drop_in(
    desired: DesiredDropIn, found: FoundFile, cause: str, *, force: bool = False
) -> tuple[Step, ...]:
    """Return the step that changes one of our drop-ins to its desired state; empty if it has that.

    The caller must reload the user manager. Raises WouldOverwrite for a file that cannot be read.
    Without `force`, also raises it for a file that was edited, that k3s-rootless did not write, or
    that is a link.
    """
    if found.problem:
        raise WouldOverwrite(
            f"cannot replace `{found.path}`: {found.problem}",
            hint=f"check it with: ls -l {found.path}",
        )
    writer = author_of(found)
    kept = None
    if writer is not None and writer is not Author.OURS:
        if not force:
            _require_unchanged(desired, found, writer)
        # A dangling link has no text to keep.
        if found.text is not None:
            kept = backup(found.path, found.text)
    if desired.text is None:
        return () if writer is None else (Remove(found.path, cause, kept),)
    if found.text != desired.text:
        return (WriteDropIn(found.path, desired.text, cause, kept, desired.mode),)
    if found.link:
        return (WriteDropIn(found.path, desired.text, "it is a link", kept, desired.mode),)
    # The mode may be stricter than the desired mode, but not wider.
    if found.mode & ~desired.mode:
        cause = f"other users can access it: its mode is {found.mode:04o}"
        return (SetMode(found.path, desired.mode, cause),)
    return ()


def _require_unchanged(desired: DesiredDropIn, found: FoundFile, writer: Author) -> None:
    """Raise WouldOverwrite if the desired drop-in would replace a different text."""
    if desired.text is not None and found.text == desired.text:
        return
    verb = "remove" if desired.text is None else "write"
    raise WouldOverwrite(
        f"cannot {verb} `{found.path}`: the existing drop-in was {writer.value}",
        hint=(
            "to keep your changes, move them to a drop-in of your own (`systemctl --user edit"
            " k3s-rootless`); to replace the existing one, use `--force`, which keeps a copy"
        ),
    )


def emptied(
    steps: tuple[Step, ...], entries: Mapping[Path, frozenset[str] | None], state: UnitState
) -> tuple[RemoveDirectory, ...]:
    """Return the steps that remove the drop-in directories that `steps` empties.

    `entries` maps each directory to the names of its entries, None if it does not exist. The result
    is empty while K3s runs: the time of the directory then shows that K3s was started with a
    drop-in that no longer exists (`files.last_changed`).
    """
    if state.running or any(isinstance(step, WriteDropIn) for step in steps):
        return ()
    gone = {step.path for step in steps if isinstance(step, Remove) and step.backup is None}
    return tuple(
        RemoveDirectory(directory, "it is empty")
        for directory, names in entries.items()
        if names is not None and names <= {path.name for path in gone if path.parent == directory}
    )


def author_of(found: FoundFile) -> Author | None:
    """Return who wrote a file; None if it does not exist.

    A link counts as foreign, whatever its target is.
    """
    if found.link:
        return Author.FOREIGN
    if found.text is None:
        return None
    return author(found.text)


def backup(path: Path, text: str) -> Path:
    """Return the path of the backup of a file with this text.

    The path depends on the text, so that each text has its own backup.
    """
    return path.with_name(f"{path.name}.{digest(text)[:8]}.bak")


def _write(desired: DesiredUnit, found: Found, *, force: bool) -> WriteUnit | None:
    if found.text is None:
        return WriteUnit(desired.path, desired.text, "the unit file does not exist")
    if found.text == desired.text:
        return None
    writer = author(found.text)
    if writer is Author.OURS and shipped.same(found.text, desired.text) and not desired.given:
        # The unit comes from a file of K3s (--from), which has different comments.
        return None
    if writer is Author.OURS:
        return WriteUnit(desired.path, desired.text, _lagging(found.text, desired))
    if not force:
        raise WouldOverwrite(
            f"cannot write `{desired.path}`: the existing unit was {writer.value}",
            hint=(
                "to keep your changes, move them to a drop-in (`systemctl --user edit"
                " k3s-rootless`); to replace the unit, run `k3s-rootless up --force`, which keeps a"
                " copy"
            ),
        )
    return WriteUnit(
        desired.path,
        desired.text,
        f"--force: the existing unit was {writer.value}",
        backup(desired.path, found.text),
    )


def _lagging(text: str, desired: DesiredUnit) -> str:
    earlier = written_for(text)
    if desired.given:
        return "it was requested"
    if earlier != desired.version:
        return f"it was written for K3s {earlier}, but {desired.version} is installed"
    return "it differs from the unit that this k3s-rootless writes for the installed K3s"


def _stale(desired: DesiredUnit, found: Found, *, written: bool) -> str | None:
    state = found.state
    if written:
        return "the unit file changed"
    if state.needs_reload:
        return "the unit or a drop-in changed after systemd read it"
    if state.fragment != desired.path:
        return "systemd has not read the unit file yet"
    return None


def cleared(state: UnitState, leftovers: tuple[Path, ...]) -> tuple[Step, ...]:
    """Return the steps that remove what a killed K3s left; empty if it left nothing."""
    if not leftovers:
        return ()
    clear = ClearState(leftovers, "a K3s that was killed left them, and no process uses them")
    # systemd must not restart the unit while its state directory is being cleared.
    if state.sub_state.startswith("auto-restart"):
        return (Stop(state.name, "systemd is about to restart it"), clear)
    return (clear,)


def _running(found: Found, *, changed: bool) -> tuple[Step, ...]:
    state = found.state
    removal = cleared(state, found.leftovers)
    if state.active_state == "failed" or (state.failed and removal):
        return (
            ResetFailed(state.name, "it failed"),
            *removal,
            Start(state.name, "it is not running"),
        )
    if state.sub_state.startswith("auto-restart"):
        # Earlier failures count against the start limit, also for a requested restart (systemd
        # 257).
        return (
            ResetFailed(state.name, "it failed"),
            Restart(state.name, "systemd is about to restart it after a failure"),
        )
    if state.active_state in {"inactive", "", "deactivating"}:
        return (*removal, Start(state.name, "it is not running"))
    if changed:
        return (Restart(state.name, "the running K3s was started before these changes"),)
    if pending_changes.outdated(state.started, found.written):
        return (Restart(state.name, "the running K3s was started before its unit was written"),)
    return ()
