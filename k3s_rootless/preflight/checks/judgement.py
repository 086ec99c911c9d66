"""The frame that the checks hang in: a list of questions, each with a stable id, answered one by
one.
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
    """A verdict before it knows which check it belongs to."""

    verdict: Verdict
    observed: str
    source: str = ""
    reason: str = ""
    remedy: Remedy | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One question about the host; `needs` names the facts that have to be read for it, beside
    those that cost nothing.
    """

    id: str
    title: str
    judge: Callable[[Facts], Judgement]
    severity: Severity
    needs: frozenset[str]

    def of(self, facts: Facts) -> Finding:
        """Answer it."""
        said = self.judge(facts)
        return Finding(
            self.id,
            self.title,
            said.verdict,
            said.observed,
            said.source,
            said.reason,
            said.remedy,
            self.severity,
        )


Judge = Callable[[Facts], Judgement]


class Checklist:
    """A list of questions; calling it with an id, a title, the worst and the needs puts the
    decorated judgement on it.
    """

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def __call__(
        self, identifier: str, title: str, severity: Severity, *needs: str
    ) -> Callable[[Judge], Judge]:
        """Put a judgement on the list."""

        def enlist(judge: Judge) -> Judge:
            self._checks.append(Check(identifier, title, judge, severity, frozenset(needs)))
            return judge

        return enlist

    def seen(
        self, identifier: str, title: str, severity: Severity, field: str, *needs: str
    ) -> Callable[[Callable[[Facts, Known[Any]], Judgement]], Judge]:
        """Put a judgement on the list that is asked only where `field` was observed; else the
        answer is unknown, with why.
        """

        def enlist(judge: Callable[[Facts, Known[Any]], Judgement]) -> Judge:
            def look(facts: Facts) -> Judgement:
                found: Observed[Any] = getattr(facts, field)
                if isinstance(found, Unknown):
                    return unknown(found.reason)
                return judge(facts, found)

            return self(identifier, title, severity, field, *needs)(look)

        return enlist

    def __iter__(self) -> Iterator[Check]:
        """Give the questions in the order in which they were put."""
        return iter(self._checks)


def passed(observed: str, source: str = "") -> Judgement:
    """It is as it should be."""
    return Judgement(Verdict.PASS, observed, source)


def told(observed: str, reason: str, source: str = "", remedy: Remedy | None = None) -> Judgement:
    """It is worth knowing, and nothing needs to be done."""
    return Judgement(Verdict.INFO, observed, source, reason, remedy)


def warned(observed: str, reason: str, remedy: Remedy, source: str = "") -> Judgement:
    """It is not, and K3s would run with less."""
    return Judgement(Verdict.WARN, observed, source, reason, remedy)


def failed(observed: str, reason: str, remedy: Remedy, source: str = "") -> Judgement:
    """It is not, and K3s would not start."""
    return Judgement(Verdict.FAIL, observed, source, reason, remedy)


def unknown(reason: str) -> Judgement:
    """Nobody could look."""
    return Judgement(Verdict.UNKNOWN, "", "", reason)
