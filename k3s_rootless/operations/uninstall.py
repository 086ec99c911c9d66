"""Stop K3s and remove the files that k3s-rootless wrote; on request, also remove K3s's data.

A step that fails becomes a problem in the result, and the remaining steps are still performed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster.kubeconfig import copies
from k3s_rootless.errors import (
    BusError,
    RootlessError,
    SystemdError,
    error_document,
)
from k3s_rootless.operations import purge, purge_consent, uninstall_plan
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.encryption import record as encryption
from k3s_rootless.operations.foreground import active
from k3s_rootless.operations.kubeconfig import document as kubeconfig_document
from k3s_rootless.operations.kubeconfig.removed import Removed
from k3s_rootless.operations.releases import all_releases
from k3s_rootless.operations.token import record as tokens
from k3s_rootless.service.act import apply
from k3s_rootless.service.plan import steps as plan_steps

if TYPE_CHECKING:
    from k3s_rootless.operations.consent import Ask
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.purge import Purged
    from k3s_rootless.operations.releases.all_releases import Downloaded
    from k3s_rootless.operations.uninstall_plan import Found
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Uninstalled:
    """The result of an uninstall: what was done, and what could not be done.

    `data` are the data directories that are kept. `releases` are kept as well, unless
    `releases_removed`. `backups` is the directory of the backups, which are always kept; None if
    there are none. `kubeconfigs` are the copies of the kubeconfig.
    """

    done: tuple[Step, ...]
    problems: tuple[str, ...]
    kept: tuple[Path, ...]
    purged: tuple[Purged, ...]
    data: tuple[Path, ...]
    releases: Downloaded | None = None
    releases_removed: bool = False
    backups: Path | None = None
    kubeconfigs: Removed = field(default_factory=Removed)

    @property
    def changed(self) -> bool:
        """Whether anything was removed."""
        return bool(self.done or self.kubeconfigs.files or self.removed or self.releases_removed)

    @property
    def removed(self) -> int:
        """The number of files and directories of K3s's data that were removed."""
        return sum(one.removed for one in self.purged)


@dataclass(frozen=True, slots=True)
class Request:
    """The things to remove in addition to unchanged files of ours.

    `force` removes edited files, `purge` removes K3s's data. `data_dir` is the data directory to
    purge if the unit does not name it. `yes` is the consent of the user.
    """

    force: bool = False
    purge: bool = False
    data_dir: Path | None = None
    yes: bool = False


def uninstall(context: Context, request: Request, ask: Ask) -> Uninstalled:
    """Stop K3s and remove the files that k3s-rootless wrote; on request, also remove K3s's data.

    Raises before anything is changed: WouldOverwrite for a unit that is not ours; UsageError if the
    data directory is unknown, is not used by K3s alone, or if no user can answer; RootlessError if
    the user does not consent, or if a restore, an upgrade or a rollback is not finished.
    """
    work = _Work(context)
    with ExitStack() as opened:
        manager = work.open_manager(opened)
        if _has_session(context):
            opened.enter_context(context.locked())
        unfinished.require_removable(context)
        if manager is not None:
            active.require_none(context, "uninstall K3s")
        found = uninstall_plan.read(context, manager)
        steps = found.removals(force=request.force)
        releases = work.releases(purge=request.purge)
        backups = purge_consent.backups(context)
        to_purge: tuple[Path, ...] = ()
        if request.purge:
            to_purge = purge.directories(context, found.settings, request.data_dir)
            if not request.yes:
                purge_consent.require(to_purge, releases, backups, ask)
        manager = work.stop(manager, found)
        work.remove(manager, found, steps)
        work.remove_copies()
        removed = False
        if request.purge:
            work.purge(to_purge, stopped=manager is not None)
            removed = work.purge_releases(releases)
        work.forget(purged=request.purge)
    data: tuple[Path, ...] = ()
    if not request.purge:
        data = purge.existing(context, found.settings)
    return Uninstalled(
        done=tuple(work.done),
        problems=tuple(work.problems),
        kept=tuple(work.kept),
        purged=tuple(work.purged),
        data=data,
        releases=releases,
        releases_removed=removed,
        backups=backups,
        kubeconfigs=work.kubeconfigs,
    )


def document(done: Uninstalled) -> dict[str, Any]:
    """Return the JSON form of the result."""
    return {
        "changed": done.changed,
        "steps": [plan_steps.document(step) for step in done.done],
        "kept": [str(path) for path in done.kept],
        "purged": [
            {
                "directory": str(one.directory),
                "removed": one.removed,
                "survivors": [{"path": path, "reason": why} for path, why in one.survivors],
                "more_survivors": one.more,
            }
            for one in done.purged
        ],
        "releases": None if done.releases is None else _releases(done, done.releases),
        "backups": None if done.backups is None else str(done.backups),
        "kubeconfigs": kubeconfig_document.lists(done.kubeconfigs),
        "errors": [error_document(problem) for problem in done.problems],
    }


def _releases(done: Uninstalled, releases: Downloaded) -> dict[str, Any]:
    return {
        "directory": str(releases.directory),
        "versions": list(releases.versions),
        "size": releases.size,
        "removed": done.releases_removed,
    }


@dataclass(slots=True)
class _Work:
    """The progress of an uninstall: what was done, and what could not be done."""

    context: Context
    done: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    purged: list[Purged] = field(default_factory=list)
    kubeconfigs: Removed = field(default_factory=Removed)

    def open_manager(self, opened: ExitStack) -> UserManager | None:
        """Return the user manager; if there is none, record a problem and return None."""
        try:
            return opened.enter_context(self.context.manager())
        except RootlessError as error:
            if self.context.uid == 0:
                raise
            self.problems.append(f"cannot stop K3s (if it is running): {error.message}")
            return None

    def stop(self, manager: UserManager | None, found: Found) -> UserManager | None:
        """Stop K3s and disable the unit; return the user manager, or None if it is gone."""
        if manager is None or found.state is None:
            return None
        try:
            for step in found.stops(found.state):
                self._perform(step, manager)
        except SystemdError:
            raise
        except BusError as error:
            self.problems.append(f"cannot stop K3s (if it is running): {error.message}")
            return None
        return manager

    def remove(self, manager: UserManager | None, found: Found, steps: Sequence[Step]) -> None:
        """Remove the files, and reload systemd."""
        for step in steps:
            self._announce(step)
            apply.change_file(step)
            self.done.append(step)
        self.kept = found.remaining()
        if manager is None:
            return
        try:
            for step in found.afterwards(steps):
                self._perform(step, manager)
        except BusError as error:
            self.problems.append(
                f"cannot reload the user manager after the unit was removed: {error.message}"
            )

    def remove_copies(self) -> None:
        """Remove the copies of the kubeconfig that `kubeconfig merge` wrote."""
        if not copies.read(self.context.paths.own):
            return
        # Imported here: few users have copies.
        from k3s_rootless.operations.kubeconfig import remove

        try:
            self.kubeconfigs = remove.remove_recorded(self.context)
        except RootlessError as error:
            self.problems.append(error.message)
        self.problems += [one.message for one in self.kubeconfigs.problems]

    def purge(self, directories: Sequence[Path], *, stopped: bool) -> None:
        """Remove the data directories if K3s is known to be stopped."""
        if directories and not stopped:
            self.problems.append("cannot purge: it is unknown whether K3s is still running")
            return
        for directory in directories:
            try:
                self.purged.append(purge.purge(self.context, directory))
            except RootlessError as error:
                self.problems.append(error.message)
        self.problems += [one.problem for one in self.purged if one.problem]

    def releases(self, *, purge: bool) -> Downloaded | None:
        """Return the releases on this host; only a purge has a problem if they are unknown."""
        try:
            return all_releases.found(self.context)
        except RootlessError as error:
            if purge:
                self.problems.append(error.message)
            return None

    def purge_releases(self, releases: Downloaded | None) -> bool:
        """Remove the releases, unless a K3s may still need them; return whether they are gone."""
        if releases is None or self.problems:
            return False
        self.context.notice(f"remove {releases.directory}: downloaded releases of K3s")
        try:
            all_releases.remove(self.context)
        except RootlessError as error:
            self.problems.append(error.message)
            return False
        return True

    def forget(self, *, purged: bool) -> None:
        """Remove the record of a command that has stopped K3s; after a purge, also the tokens.

        The record of a reset is needed as long as there is data to remove.
        """
        try:
            unfinished.forget_stop(self.context)
            if purged and not self.problems:
                unfinished.forget_reset(self.context)
                tokens.forget(self.context.paths)
                encryption.end(self.context.paths.encryption_change)
        except RootlessError as error:
            self.problems.append(error.message)

    def _announce(self, step: Step) -> None:
        self.context.notice(f"{step.describe()}: {step.cause}")

    def _perform(self, step: Step, manager: UserManager) -> None:
        self._announce(step)
        apply.perform(step, manager)
        self.done.append(step)


def _has_session(context: Context) -> bool:
    """Return whether this user has a runtime directory.

    Without a runtime directory, no other k3s-rootless of this user runs.
    """
    try:
        return context.paths.runtime.stat().st_uid == context.uid
    except OSError:
        return False
