"""`k3s-rootless uninstall`: everything away that k3s-rootless wrote, and with `--purge` K3s's
data.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli.options import json_option
from k3s_rootless.errors import error_document

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.cli.purging import Purged
    from k3s_rootless.cli.session import Session
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


@click.command("uninstall")
@click.option(
    "--purge",
    is_flag=True,
    help="Remove K3s's data directory as well: the cluster and its volumes.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    help="The data directory to purge, if the unit names it no more.",
)
@click.option("--yes", is_flag=True, help="Purge without asking.")
@click.option("--force", is_flag=True, help="Remove also what was edited; a copy is kept.")
@json_option
def command(*, purge: bool, data_dir: Path | None, yes: bool, force: bool, as_json: bool) -> None:
    """Stop K3s and remove what k3s-rootless wrote; `--purge` also K3s's data.

    The unit goes, its drop-ins of k3s-rootless, and what enables it. What somebody edited stays.

    Exit codes: 0 removed; 1 something could not be done; 7 the unit is not ours.
    """
    from k3s_rootless.cli import purging
    from k3s_rootless.cli.session import Session
    from k3s_rootless.errors import UsageError
    from k3s_rootless.service.plan import removal

    session = Session.begin("uninstall" if as_json else None)
    if data_dir is not None and not purge:
        raise UsageError("cannot use --data-dir without --purge: nothing else is removed from it")
    with ExitStack() as opened:
        work = _Work(session)
        manager = work.manager(opened)
        opened.enter_context(_locked(session))
        found = _look(session, manager)
        files = removal.files(
            found.unit,
            found.drop_ins,
            found.drop_in_directory,
            found.names,
            found.link,
            force=force,
        )
        doomed = purging.directories(session, found.settings, data_dir) if purge else ()
        purging.require_consent(session, doomed, yes=yes)
        manager = work.stop(manager, found)
        work.remove(manager, found, files)
        work.purge(doomed, stopped=manager is not None)
    if not purge:
        work.tell_data(found)
    code = work.answer()
    click.get_current_context().exit(code)


@dataclass(frozen=True, slots=True)
class _Found:
    directory: Path
    drop_in_directory: Path
    state: UnitState | None
    unit: FoundFile
    drop_ins: tuple[FoundFile, ...]
    names: frozenset[str] | None
    link: Path | None
    settings: tuple[Settings, ...]


def _look(session: Session, manager: UserManager | None) -> _Found:
    from k3s_rootless.cli import purging
    from k3s_rootless.operations import first_start, installation
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.observe import files

    directory = (
        first_start.unit_directory(manager, session.paths) if manager else session.paths.user_units
    )
    state = manager.unit(UNIT) if manager else None
    drop_in_directory = installation.drop_in_directory(directory)
    for one in (directory, drop_in_directory):
        apply.sweep(one)
    unit = files.read(directory / UNIT)
    link = files.enabling_link(directory, UNIT)
    if (
        link is not None
        and state is not None
        and state.file_state == "enabled"
        and unit.text is not None
    ):
        link = None  # systemd is asked to disable the unit, and removes it itself
    return _Found(
        directory,
        drop_in_directory,
        state,
        unit,
        files.drop_ins(drop_in_directory, state),
        files.names(drop_in_directory),
        link,
        purging.known(session, state, manager.environment if manager else {}),
    )


def _locked(session: Session) -> AbstractContextManager[None]:
    from k3s_rootless.operations import installation
    from k3s_rootless.service.act import apply

    # Without a runtime directory of the user's there is no session, and nobody else at work in it
    # either.
    try:
        if session.paths.runtime.stat().st_uid != session.uid:
            return nullcontext()
    except OSError:
        return nullcontext()
    return apply.locked(session.paths.lock, lambda: session.report.story(installation.WAITING))


@dataclass(slots=True)
class _Work:
    """What was done, and what could not be done."""

    session: Session
    done: list[Step] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    purged: list[Purged] = field(default_factory=list)

    def manager(self, opened: ExitStack) -> UserManager | None:
        """Give the user manager, or None where there is none, which is a problem and no reason to
        leave files behind.
        """
        from k3s_rootless.errors import RootlessError

        try:
            return opened.enter_context(self.session.manager())
        except RootlessError as error:
            if self.session.uid == 0:
                raise
            self.problems.append(f"cannot stop K3s, if it runs: {error.message}")
            return None

    def stop(self, manager: UserManager | None, found: _Found) -> UserManager | None:
        """Stop K3s and disable the unit; a manager that goes away meanwhile is none any more."""
        from k3s_rootless.errors import BusError, SystemdError
        from k3s_rootless.service.plan import removal

        if manager is None or found.state is None:
            return None
        try:
            for step in removal.stopping(found.state, found.unit):
                self._perform(step, manager)
        except SystemdError:
            raise
        except BusError as error:
            self.problems.append(f"cannot stop K3s, if it runs: {error.message}")
            return None
        return manager

    def remove(self, manager: UserManager | None, found: _Found, files: Sequence[Step]) -> None:
        """Remove the files, and let systemd see it."""
        from k3s_rootless.errors import BusError
        from k3s_rootless.service.act import apply
        from k3s_rootless.service.plan import removal

        for step in files:
            self.session.report.story(f"{step.describe()}: {step.cause}")
            apply.change_file(step)
            self.done.append(step)
        copies = found.directory.glob("k3s-rootless.service.*.bak")
        self.kept = [str(path) for path in sorted((*found.drop_in_directory.glob("*"), *copies))]
        if manager is None:
            return
        try:
            for step in removal.forgetting(found.state, files):
                self._perform(step, manager)
        except BusError as error:
            self.problems.append(
                f"cannot tell the user manager that the unit is gone: {error.message}"
            )

    def purge(self, directories: Sequence[Path], *, stopped: bool) -> None:
        """Remove the data directories, if it is known that K3s does not run."""
        from k3s_rootless.cli import purging
        from k3s_rootless.errors import RootlessError

        if directories and not stopped:
            self.problems.append("cannot purge: nobody can tell whether K3s still runs")
            return
        for directory in directories:
            try:
                self.purged.append(purging.purge(self.session, directory))
            except RootlessError as error:
                self.problems.append(error.message)
        self.problems += [problem for one in self.purged for problem in one.problems]

    def tell_data(self, found: _Found) -> None:
        """Say what is left of K3s itself."""
        from k3s_rootless.cli import purging

        for directory in purging.present(self.session, found.settings):
            named = "" if directory == self.session.paths.data else f" --data-dir {directory}"
            self.session.report.answer(
                f"K3s's data stays in {directory}; remove it with: k3s-rootless uninstall"
                f" --purge{named}"
            )

    def answer(self) -> int:
        """Tell it all, and give the exit code."""
        report = self.session.report
        removed = sum(one.removed for one in self.purged)
        if not self.done and not self.purged and not self.problems:
            report.answer("nothing to do: nothing of k3s-rootless is here")
        elif not self.problems:
            report.answer(
                "K3s is uninstalled"
                + (
                    f", and its data is gone ({removed} files and directories)"
                    if self.purged
                    else ""
                )
            )
        for path in self.kept:
            report.answer(f"kept: {path}")
        errors = [error_document(problem) for problem in self.problems]
        document: dict[str, Any] = {
            "changed": bool(self.done) or removed > 0,
            "steps": [
                {"step": type(step).__name__, "does": step.describe(), "cause": step.cause}
                for step in self.done
            ],
            "kept": self.kept,
            "purged": [one.document() for one in self.purged],
            "errors": errors,
        }
        for problem in self.problems:
            report.story(f"error: {problem}")
        if self.problems:
            report.story("\nhint: mend that and run it again: k3s-rootless uninstall")
        report.document(document)
        return 1 if self.problems else 0

    def _perform(self, step: Step, manager: UserManager) -> None:
        from k3s_rootless.service.act import apply

        self.session.report.story(f"{step.describe()}: {step.cause}")
        apply.perform(step, manager)
        self.done.append(step)
