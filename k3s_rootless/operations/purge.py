"""Select the data directories that `uninstall --purge` removes, and remove them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations import server_settings, subordinate_ids
from k3s_rootless.service.act import purge as purger
from k3s_rootless.service.observe import data_directory

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.backup.volumes.in_namespace import InNamespace
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Purged:
    """The result of the removal of one data directory.

    `survivors` are the remaining paths, each with the reason; `more` is the number of further ones.
    `outside` is the reason why no user namespace was used; empty if one was used.
    """

    directory: Path
    removed: int
    survivors: tuple[tuple[str, str], ...] = ()
    more: int = 0
    outside: str = ""

    @property
    def problem(self) -> str:
        """A message about the paths that could not be removed; empty if all were removed."""
        if not self.survivors:
            return ""
        count = len(self.survivors) + self.more
        shown = [f"\n  {path!r}: {why}" for path, why in self.survivors[:_MOST_SHOWN]]
        if count > len(shown):
            shown.append(f"\n  and {count - len(shown)} more")
        as_whom = ""
        if self.outside:
            as_whom = f" (without a user namespace, because {self.outside})"
        return f"cannot remove all of {self.directory}{as_whom}: {count} left{''.join(shown)}"


def known_settings(
    context: Context, state: UnitState | None, manager: Mapping[str, str]
) -> tuple[Settings, ...]:
    """Return the settings of the running K3s and of the next start; their data belong to the unit.

    `manager` is the environment that the user manager passes to each unit.
    """
    if state is None:
        return ()
    following = server_settings.of_next_start(context, state, manager)
    if not state.running:
        return (following,)
    return (server_settings.of_running(context, state), following)


def existing(context: Context, settings: Sequence[Settings]) -> tuple[Path, ...]:
    """Return the existing data directories of these settings, and K3s's default data directory."""
    named = (*(one.data for one in settings), context.paths.data)
    return tuple(path for path in dict.fromkeys(named) if _is_directory(path))


def directories(
    context: Context, settings: Sequence[Settings], given: Path | None
) -> tuple[Path, ...]:
    """Return the data directories to purge; if `given` is set, only that directory.

    Raises UsageError for a directory that is unknown or that does not belong to K3s alone.
    """
    if given is None:
        _require_known(settings)
        found = existing(context, settings)
    else:
        found = (given.absolute(),)
    for directory in found:
        if ".." in directory.parts:
            raise UsageError(
                f"cannot purge {directory}: its path contains `..`",
                hint=f"use the path without `..`: {directory.resolve()}",
            )
        data_directory.identify(directory, context.paths.home, context.uid)
    return found


def purge(context: Context, directory: Path) -> Purged:
    """Remove one data directory. Raises RootlessError if it cannot be accessed or is in use."""
    if purger.in_use(directory):
        raise RootlessError(
            f"cannot purge {directory}: another K3s uses it",
            hint="stop that K3s first, then run the command again",
        )
    everything = directory == context.paths.data
    context.notice(
        f"remove {directory} in a user namespace: its files belong to your subordinate ids"
    )
    # The directory is checked again: the first check was before the question to the user, and K3s
    # was stopped after it.
    task = purger.task(directory, context.paths.home, context.uid, everything=everything)
    result = purger.remove(task, subordinate_ids.mapping(context))
    if everything and not result.survivors:
        # K3s created the parent directory, too. It is kept if it contains anything else.
        purger.remove_empty(directory.parent)
    return Purged(directory, result.removed, tuple(result.survivors), result.more, result.outside)


def remove_reset(context: Context, directory: Path, within: InNamespace) -> Purged:
    """Remove what a reset has moved away in a data directory. Raises RootlessError.

    Without a usable user namespace, removes what the user may remove.
    """
    task = purger.reset_task(directory, context.paths.home)
    if not _is_directory(task.directory):
        return Purged(task.directory, 0)
    context.notice(
        f"remove {task.directory} in a user namespace: its files belong to your subordinate ids"
    )
    try:
        result = within.clear(task)
    except RootlessError as error:
        result = purger.remove(task, error.message)
    return Purged(
        task.directory, result.removed, tuple(result.survivors), result.more, result.outside
    )


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _require_known(settings: Sequence[Settings]) -> None:
    for one in settings:
        doubt = one.doubt("data-dir")
        if doubt:
            raise UsageError(
                f"cannot purge: the data directory of K3s is not known: {doubt}",
                hint="specify it: k3s-rootless uninstall --purge --data-dir DIRECTORY",
            )
