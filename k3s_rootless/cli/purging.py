"""Decides which data directories `uninstall --purge` removes, asks for consent, and lets it be
done.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.observation import Known

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.cli.session import Session
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.service.act.purge import Mapping as Ids
    from k3s_rootless.service.facts import UnitState

_MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Purged:
    """One data directory after its purge."""

    directory: Path
    removed: int
    survivors: tuple[tuple[str, str], ...]
    more: int
    outside: str

    @property
    def problems(self) -> tuple[str, ...]:
        """What could not be done, each as a message."""
        if not self.survivors:
            return ()
        count = len(self.survivors) + self.more
        shown = [f"\n  {path!r}: {why}" for path, why in self.survivors[:_MOST_SHOWN]]
        rest = f"\n  and {count - len(shown)} more" if count > len(shown) else ""
        as_whom = f" (as an ordinary user, since {self.outside})" if self.outside else ""
        return (
            f"cannot remove all of {self.directory}{as_whom}: {count} left{''.join(shown)}{rest}",
        )

    def document(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "directory": str(self.directory),
            "removed": self.removed,
            "survivors": [{"path": path, "reason": why} for path, why in self.survivors],
            "more_survivors": self.more,
        }


def known(
    session: Session, state: UnitState | None, manager: Mapping[str, str]
) -> tuple[Settings, ...]:
    """Return the settings whose data belong to this unit: those of the K3s that runs, and of the
    next start.

    `manager` is what the user manager hands to each unit.
    """
    from k3s_rootless.operations import server_settings

    running = (server_settings.of_running(session, state),) if state and state.running else ()
    return (*running, server_settings.of_next_start(session, state, manager)) if state else ()


def present(session: Session, settings: Sequence[Settings]) -> tuple[Path, ...]:
    """Return the data directories that exist: those of these settings, and K3s's default."""
    named = (*(one.data for one in settings), session.paths.data)
    return tuple(path for path in dict.fromkeys(named) if _is_there(path))


def _is_there(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def directories(
    session: Session, settings: Sequence[Settings], given: Path | None
) -> tuple[Path, ...]:
    """Return the data directories to purge.

    Raises UsageError for one that is not K3s's alone, or is not known.
    """
    from k3s_rootless.service.observe import data_directory

    if given is None and (
        doubt := next(filter(None, (one.doubt("data-dir") for one in settings)), "")
    ):
        raise UsageError(
            f"cannot purge: the data directory of K3s is not known: {doubt}",
            hint="name it: k3s-rootless uninstall --purge --data-dir DIRECTORY",
        )
    found = (given.absolute(),) if given is not None else present(session, settings)
    for directory in found:
        if ".." in directory.parts:
            raise UsageError(
                f"cannot purge {directory}: its path holds `..`",
                hint=f"name it: {directory.resolve()}",
            )
        data_directory.identify(directory, session.paths.home, session.uid)
    return found


def require_consent(session: Session, doomed: Sequence[Path], *, yes: bool) -> None:
    """Ask whether the data may go.

    Raises UsageError where nobody can be asked, RootlessError where the answer is no.
    """
    if not doomed or yes:
        return
    names = " and ".join(map(str, doomed))
    answer = session.report.confirm(
        f"Remove {names}, with the cluster and all its volumes, for good?"
    )
    if answer is None:
        raise UsageError(
            f"cannot ask whether {names} may go: this is no terminal", hint="say so with --yes"
        )
    if not answer:
        raise RootlessError("nothing was removed")


def purge(session: Session, directory: Path) -> Purged:
    """Remove one data directory. Raises RootlessError if it cannot be used at all."""
    from k3s_rootless.service.act import purge as purger

    if purger.in_use(directory):
        raise RootlessError(
            f"cannot purge {directory}: another K3s runs with it",
            hint="stop it first, wherever it was started",
        )
    everything = directory == session.paths.data
    session.report.story(
        f"remove {directory}, inside a user namespace: its files belong to your subordinate ids"
    )
    # The directory is examined again: it was first examined before the question, and K3s has
    # stopped meanwhile.
    task = purger.task(directory, session.paths.home, session.uid, everything=everything)
    result = purger.remove(task, _mapping(session))
    if everything and not result.survivors:
        # K3s made the directory above as well; where something else lies in it, it stays.
        purger.remove_empty(directory.parent)
    return Purged(directory, result.removed, tuple(result.survivors), result.more, result.outside)


def _mapping(session: Session) -> Ids | str:
    from k3s_rootless.k3s.unit_path import unit_search
    from k3s_rootless.preflight.probes import host, subids
    from k3s_rootless.service.act.purge import Mapping

    root = session.paths.root
    programs = []
    for name in ("newuidmap", "newgidmap"):
        found = host.map_program(name, unit_search(), root)
        if not isinstance(found, Known) or found.value.path is None:
            return f"there is no {name}"
        programs.append(found.value.path)
    ranges = []
    for kind in ("subuid", "subgid"):
        ids = subids.of_user(kind, root, session.user, session.uid)
        if not isinstance(ids, Known):
            return ids.reason
        ranges.append([(one.start, one.count) for one in ids.value])
    return Mapping(programs[0], programs[1], ranges[0], ranges[1])
