"""Read and judge this host: the operation behind `check`, and the beginning of `up` and
`install`.
"""

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
"""Facts that the user manager is queried for."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The answer of `check`: all findings, also those of `ignored` checks.

    `complete` says that all checks were run.
    """

    findings: tuple[Finding, ...]
    ignored: tuple[str, ...] = ()
    complete: bool = True

    @property
    def error(self) -> RootlessError | None:
        """The error that the findings amount to; None if this host is ready."""
        return outcome.error(self.findings, self.ignored)

    @property
    def warnings(self) -> int:
        """How many checks warn that are not ignored."""
        counted = outcome.not_ignored(self.findings, self.ignored)
        return sum(one.verdict is Verdict.WARN for one in counted)

    @property
    def overlooked(self) -> tuple[str, ...]:
        """The checks that `ignored` keeps from being an error."""
        grave = (*outcome.failures(self.findings), *outcome.unknown(self.findings))
        return tuple(one.check for one in grave)

    @property
    def effective_ignored(self) -> tuple[str, ...]:
        """The ids of `ignored` that made a difference."""
        return tuple(
            name for name in self.ignored if any(matches(one, name) for one in self.overlooked)
        )


def check(context: Context, ids: Sequence[str] = (), ignored: Sequence[str] = ()) -> Checked:
    """Read and judge this host by the checks that `ids` select, by all of them without ids.

    Raises PreflightFailed for root, UsageError for an id that names no check.
    """
    context.require_ordinary_user()
    require_known((*ids, *ignored))
    return Checked(findings(context, ids), tuple(ignored), complete=not ids)


def findings(context: Context, ids: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Read only what the selected checks need, and judge it."""
    needs = None
    if ids:
        # Without ids, the judges are loaded while the probes run.
        from k3s_rootless.operations.check import selection

        needs = selection.needs(ids)
    with Probing(context, needs) as probing:
        facts = _finished(probing)
    return judge(facts, ids)


def _finished(probing: Probing) -> Facts:
    """Return the facts, also if the user manager does not answer."""
    if not probing.needs(*_OF_MANAGER):
        return probing.finish(None)[0]
    try:
        with probing.context.manager() as manager:
            return probing.finish(manager)[0]
    except RootlessError as error:
        return probing.finish(None, error.message)[0]


def begin(context: Context, ignored: Sequence[str] = ()) -> Probing:
    """Begin to read everything; `finish` it with the user manager.

    Raises UsageError for an id that names no check.
    """
    require_known(ignored)
    return Probing(context)


def judge(facts: Facts, ids: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Judge the facts by the selected checks, by all of them without ids."""
    # Here as above: the judges take 80 ms to load.
    from k3s_rootless.operations.check import selection

    return selection.judge(facts, ids)


def require_known(ids: Sequence[str]) -> None:
    """Refuse an id that names no check and no group of checks. Raises UsageError."""
    if not ids:
        return
    # Here as above.
    from k3s_rootless.operations.check import selection

    selection.require_known(ids)
