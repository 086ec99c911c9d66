"""The types that checks are built from: Check, Checklist and Judgement.

Each check has a stable id, and is judged independently of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from k3s_rootless.finding import Finding, Remedy, Severity, Verdict
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.facts import Facts

FATAL, DEGRADED, INFORMATIVE = Severity.FATAL, Severity.DEGRADED, Severity.INFORMATIVE


@dataclass(frozen=True, slots=True)
class Judgement:
    """The result of a check, without the id, title and severity of the check."""

    verdict: Verdict
    observed: str
    source: str = ""
    reason: str = ""
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One check of the host.

    `needs` names the facts that must be read for the check. Facts that cost nothing are not listed.
    """

    id: str
    title: str
    judge: Callable[[Facts], Judgement]
    severity: Severity
    needs: frozenset[str]

    def of(self, facts: Facts) -> Finding:
        """Judge the facts, and return the finding."""
        judgement = self.judge(facts)
        return Finding(
            self.id,
            self.title,
            judgement.verdict,
            judgement.observed,
            judgement.source,
            judgement.reason,
            judgement.remedy,
            self.severity,
        )


Judge = Callable[[Facts], Judgement]


class Checklist:
    """The checks of one subject; an instance is also the decorator that adds a check.

    The decorator takes the id, the title, the worst severity and the needed facts of the check.
    """

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def __call__(
        self, identifier: str, title: str, severity: Severity, *needs: str
    ) -> Callable[[Judge], Judge]:
        """Return a decorator that adds a function to the list."""

        def add(judge: Judge) -> Judge:
            self._checks.append(Check(identifier, title, judge, severity, frozenset(needs)))
            return judge

        return add

    def seen(
        self, identifier: str, title: str, severity: Severity, field: str, *needs: str
    ) -> Callable[[Callable[[Facts, Known[Any]], Judgement]], Judge]:
        """Return a decorator for a check that requires an observed `field`.

        If the field of the facts is Unknown, the function is not called, and the result is unknown
        with the same reason.
        """

        def add(judge: Callable[[Facts, Known[Any]], Judgement]) -> Judge:
            def judge_observed(facts: Facts) -> Judgement:
                found: Observed[Any] = getattr(facts, field)
                if isinstance(found, Unknown):
                    return unknown(found.reason)
                return judge(facts, found)

            return self(identifier, title, severity, field, *needs)(judge_observed)

        return add

    def __iter__(self) -> Iterator[Check]:
        """Iterate over the checks in the order in which they were added."""
        return iter(self._checks)


def passed(observed: str, source: str = "") -> Judgement:
    """Return the judgement that the host meets the requirement."""
    return Judgement(Verdict.PASS, observed, source)


def info(observed: str, reason: str, source: str = "", remedy: Remedy | None = None) -> Judgement:
    """Return the judgement that the observation is useful to know, but needs no action."""
    return Judgement(Verdict.INFO, observed, source, reason, remedy)


def warned(observed: str, reason: str, remedy: Remedy, source: str = "") -> Judgement:
    """Return the judgement that K3s would run with restrictions, and a remedy is needed."""
    return Judgement(Verdict.WARN, observed, source, reason, remedy)


def failed(observed: str, reason: str, remedy: Remedy, source: str = "") -> Judgement:
    """Return the judgement that K3s would not start or never become ready."""
    return Judgement(Verdict.FAIL, observed, source, reason, remedy)


def unknown(reason: str) -> Judgement:
    """Return the judgement that the fact could not be read."""
    return Judgement(Verdict.UNKNOWN, "", "", reason)
