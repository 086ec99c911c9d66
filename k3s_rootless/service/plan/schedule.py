"""Steps that set up and remove the timer and the service of scheduled backups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.service.plan import planner
from k3s_rootless.service.plan.steps import (
    Disable,
    Enable,
    Reload,
    Remove,
    RemoveLink,
    ResetFailed,
    Restart,
    Start,
    Step,
    Stop,
    WriteFile,
)
from k3s_rootless.service.unit.seal import Author

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from k3s_rootless.service.facts import FoundFile, UnitState

_REQUESTED = "it was requested"


def on(
    changes: Iterable[tuple[FoundFile, str]], timer: UnitState, *, force: bool
) -> tuple[Step, ...]:
    """Return the steps that write the files, and enable and start the timer; empty if all is done.

    Raises WouldOverwrite for a masked timer, and without `force` for a file that was edited.
    """
    if timer.load_state == "masked":
        raise WouldOverwrite(
            f"cannot start `{timer.name}`: it is masked",
            hint=f"unmask it: systemctl --user unmask {timer.name}",
        )
    written = [step for found, text in changes for step in _write(found, text, force=force)]
    steps: list[Step] = [*written]
    if written or timer.needs_reload or timer.load_state == "not-found":
        steps.append(Reload("the units of the scheduled backups changed"))
    if timer.file_state not in {"enabled", "enabled-runtime"}:
        steps.append(Enable(timer.name, "it does not start with the user manager yet"))
    if timer.at_rest:
        steps.append(Start(timer.name, _REQUESTED))
    elif steps:
        steps.append(Restart(timer.name, "its schedule changed"))
    return tuple(steps)


def off(
    files: Sequence[FoundFile], timer: UnitState, service: UnitState, *, force: bool
) -> tuple[Step, ...]:
    """Return the steps that stop and disable the timer, and remove the files.

    Without `force`, raises WouldOverwrite for a file that was edited.
    """
    removed = [step for found in files for step in _remove(found, force=force)]
    return (*stopping(timer), *removed, *_forgetting(removed, timer, service))


def uninstall(files: Sequence[FoundFile], link: Path | None, *, force: bool) -> tuple[Step, ...]:
    """Return the steps that remove the files; without `force`, an edited file is kept.

    `link` is the link that starts the timer with the user manager, if systemd cannot remove it.
    """
    steps: list[Step] = []
    if link is not None:
        steps.append(RemoveLink(link, "it starts the timer with the user manager"))
    for found in files:
        if force or planner.author_of(found) is Author.OURS:
            steps += _remove(found, force=force)
    return tuple(steps)


def stopping(timer: UnitState | None) -> tuple[Step, ...]:
    """Return the steps that stop and disable the timer; a backup that runs is not stopped."""
    steps: list[Step] = []
    if timer is None:
        return ()
    if not timer.at_rest:
        steps.append(Stop(timer.name, f"it is {timer.active_state}"))
    if timer.file_state in {"enabled", "enabled-runtime"}:
        steps.append(Disable(timer.name, "it would start with the user manager"))
    return tuple(steps)


def reset_failed(service: UnitState | None) -> tuple[Step, ...]:
    """Return the step that resets the failed state of the service."""
    if service is None or service.active_state != "failed":
        return ()
    return (ResetFailed(service.name, "it failed"),)


def _forgetting(removed: Sequence[Step], timer: UnitState, service: UnitState) -> tuple[Step, ...]:
    steps: list[Step] = []
    if removed or timer.needs_reload:
        steps.append(Reload("the units of the scheduled backups were removed"))
    return (*steps, *reset_failed(service))


def _write(found: FoundFile, text: str, *, force: bool) -> tuple[Step, ...]:
    if found.text == text and not found.link:
        return ()
    kept = _kept(found, "write", force=force)
    return (WriteFile(found.path, text, _REQUESTED, kept),)


def _remove(found: FoundFile, *, force: bool) -> tuple[Step, ...]:
    if found.problem:
        raise _refusal(found, "remove", found.problem)
    if planner.author_of(found) is None:
        return ()
    return (Remove(found.path, _REQUESTED, _kept(found, "remove", force=force)),)


def _kept(found: FoundFile, verb: str, *, force: bool) -> Path | None:
    """Return the path of the copy of an edited file; None if no copy is necessary.

    Without `force`, raises WouldOverwrite for such a file.
    """
    if found.problem:
        raise _refusal(found, verb, found.problem)
    writer = planner.author_of(found)
    if writer in {None, Author.OURS}:
        return None
    if not force:
        raise _refusal(found, verb, "it was edited, or k3s-rootless did not write it")
    if found.text is None:
        return None
    return planner.backup(found.path, found.text)


def _refusal(found: FoundFile, verb: str, why: str) -> WouldOverwrite:
    return WouldOverwrite(
        f"cannot {verb} `{found.path}`: {why}",
        hint="to replace or remove it and keep a copy, add --force",
    )
