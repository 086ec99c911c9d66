"""Read and check this host: all of `check`, and the first step of `up` and `install`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.finding import Finding, Verdict, matches
from k3s_rootless.operations.check import outcome
from k3s_rootless.operations.check.probing import Probing

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.preflight.facts import Facts

_OF_MANAGER = frozenset({"user_manager", "delegation", "unit"})
"""The facts that are queried from the user manager."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of `check`: all findings, including those of `ignored` checks.

    `complete` is True if all checks were run.
    """

    findings: tuple[Finding, ...]
    ignored: tuple[str, ...] = ()
    complete: bool = True

    @property
    def error(self) -> RootlessError | None:
        """The error that results from the findings; None if this host is ready."""
        return outcome.error(self.findings, self.ignored)

    @property
    def warnings(self) -> int:
        """The number of warnings that are not ignored."""
        counted = outcome.not_ignored(self.findings, self.ignored)
        return sum(one.verdict is Verdict.WARN for one in counted)

    @property
    def ignored_problems(self) -> tuple[str, ...]:
        """The checks that would be an error without `ignored`."""
        problems = (*outcome.failures(self.findings), *outcome.unknown(self.findings))
        return tuple(one.check for one in problems)

    @property
    def effective_ignored(self) -> tuple[str, ...]:
        """The ids in `ignored` that changed the result."""
        return tuple(
            name
            for name in self.ignored
            if any(matches(one, name) for one in self.ignored_problems)
        )


def check(context: Context, ids: Sequence[str] = (), ignored: Sequence[str] = ()) -> Checked:
    """Read and check this host with the checks that `ids` select; without ids, with all checks.

    Raises PreflightFailed for root, UsageError for an id that matches no check.
    """
    context.require_ordinary_user()
    require_known((*ids, *ignored))
    return Checked(findings(context, ids), tuple(ignored), complete=not ids)


def findings(context: Context, ids: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Read the facts that the selected checks need, and run the checks."""
    needs = None
    if ids:
        # Imported here: without ids, the checks are imported while the probes run.
        from k3s_rootless.operations.check import selection

        needs = selection.needs(ids)
    with Probing(context, needs) as probing:
        facts = _finished(probing)
    return judge(facts, ids)


def _finished(probing: Probing) -> Facts:
    """Return the facts, even if the user manager does not answer."""
    if not probing.needs(*_OF_MANAGER):
        return probing.finish(None)[0]
    try:
        with probing.context.manager() as manager:
            return probing.finish(manager)[0]
    except RootlessError as error:
        return probing.finish(None, error.message)[0]


def begin(context: Context, ignored: Sequence[str] = ()) -> Probing:
    """Start to read everything; call `finish` with the user manager.

    Raises UsageError for an id that matches no check.
    """
    require_known(ignored)
    return Probing(context)


def judge(facts: Facts, ids: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Run the selected checks on the facts; without ids, all checks."""
    # Imported here, as above: the checks take 80 ms to load.
    from k3s_rootless.operations.check import selection

    return selection.judge(facts, ids)


def require_known(ids: Sequence[str]) -> None:
    """Raise UsageError for an id that matches no check and no group of checks."""
    if not ids:
        return
    # Imported here, as above.
    from k3s_rootless.operations.check import selection

    selection.require_known(ids)
