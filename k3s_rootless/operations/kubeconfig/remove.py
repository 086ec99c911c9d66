"""Remove the entries that `merge` wrote, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.cluster.kubeconfig import copies, entries, merging
from k3s_rootless.cluster.kubeconfig.edits import Delete, SetCurrent
from k3s_rootless.cluster.kubeconfig.merging import Owner
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.kubeconfig.group import Group, chosen, locked, no_user
from k3s_rootless.operations.kubeconfig.removed import Removed, RemovedFrom

if TYPE_CHECKING:
    from k3s_rootless.cluster.kubeconfig.edits import Edit
    from k3s_rootless.operations.context import Context


def remove(context: Context, ask: Ask, *, dry_run: bool = False) -> Removed:
    """Remove our entries from all recorded files, and from the kubeconfigs of this user.

    Raises UsageError, RootlessError.
    """
    context.require_ordinary_user()
    return _remove(_Work(context, ask, dry_run), [chosen(context, None).files])


def remove_recorded(context: Context) -> Removed:
    """Remove our entries from all recorded files. Raises RootlessError."""
    return _remove(_Work(context, no_user, dry_run=False), [])


@dataclass(slots=True)
class _Work:
    """The progress of a removal."""

    context: Context
    ask: Ask
    dry_run: bool
    changed: list[RemovedFrom] = field(default_factory=list)
    kept: list[tuple[Path, str]] = field(default_factory=list)
    problems: list[RootlessError] = field(default_factory=list)
    unchanged: set[Path] = field(default_factory=set)

    def remove_from(self, paths: Sequence[Path]) -> None:
        """Remove our entries from files that kubectl reads as one."""
        if not any(path.exists() for path in paths):
            return
        try:
            with ExitStack() as held:
                if not self.dry_run:
                    held.enter_context(locked(self.context, paths, self.ask))
                self._remove(Group.read(paths, self.context.uid))
        except RootlessError as error:
            self.problems.append(error)
            self.unchanged |= set(paths)

    def _remove(self, group: Group) -> None:
        names, edited = _names(group)
        edits = merging.remove(group.documents, names)
        if not self.dry_run:
            group.write(group.texts(edits))
        self.changed += _changes(group, edits)
        self.kept += [(group.files[at].path, name) for at, name in edited]

    def forget(self) -> None:
        """Remove the copies that are gone from the record."""
        own = self.context.paths.own
        with locked(self.context, [], self.ask):
            left = [
                one
                for one in copies.read(own)
                if (one.file, one.name) in self.kept or one.file in self.unchanged
            ]
            copies.write(own, left)
        with suppress(OSError):
            own.rmdir()  # only if it is empty


def _remove(work: _Work, groups: Sequence[Sequence[Path]]) -> Removed:
    recorded = copies.read(work.context.paths.own)
    listed = {file for group in groups for file in group}
    others = dict.fromkeys(one.file for one in recorded if one.file not in listed)
    for paths in (*groups, *([file] for file in others)):
        work.remove_from(paths)
    if recorded and not work.dry_run:
        work.forget()
    return Removed(tuple(work.changed), tuple(work.kept), tuple(work.problems), work.dry_run)


def _names(group: Group) -> tuple[tuple[str, ...], list[tuple[int, str]]]:
    """Return the names of our entries to remove, and those that were edited with their files."""
    ours: dict[str, None] = {}
    edited: list[tuple[int, str]] = []
    for at, document in enumerate(group.documents):
        for name in entries.our_names(document):
            if merging.owner(group.documents, name) is Owner.EDITED:
                edited.append((at, name))
            else:
                ours[name] = None
    return tuple(ours), edited


def _changes(group: Group, edits: Sequence[Sequence[Edit]]) -> Iterator[RemovedFrom]:
    for file, document, made in zip(group.files, group.documents, edits, strict=True):
        if not made:
            continue
        names = dict.fromkeys(one.name for one in made if isinstance(one, Delete))
        current = next((one.name for one in made if isinstance(one, SetCurrent)), None)
        referring = [one for name in names for one in entries.referring(document, name)]
        yield RemovedFrom(file.path, tuple(names), current, tuple(dict.fromkeys(referring)))
