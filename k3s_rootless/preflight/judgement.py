"""The frame that the checks hang in: a list of questions, each with a stable id, answered one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from k3s_rootless.finding import Finding, Remedy, Verdict
from k3s_rootless.preflight.facts import Facts


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
    """One question about the host."""

    id: str
    title: str
    judge: Callable[[Facts], Judgement]

    def of(self, facts: Facts) -> Finding:
        """Answer it."""
        said = self.judge(facts)
        return Finding(self.id, self.title, said.verdict, said.observed, said.source, said.reason, said.remedy)


Judge = Callable[[Facts], Judgement]


class Checklist:
    """A list of questions; calling it with an id and a title puts the decorated judgement on it."""

    def __init__(self) -> None:
        self._checks: list[Check] = []

    def __call__(self, identifier: str, title: str) -> Callable[[Judge], Judge]:
        """Put a judgement on the list."""

        def enlist(judge: Judge) -> Judge:
            self._checks.append(Check(identifier, title, judge))
            return judge

        return enlist

    def __iter__(self) -> Iterator[Check]:
        """Give the questions in the order in which they were put."""
        return iter(self._checks)


def passed(observed: str, source: str = "") -> Judgement:
    """It is as it should be."""
    return Judgement(Verdict.PASS, observed, source)


def failed(observed: str, reason: str, remedy: Remedy, source: str = "") -> Judgement:
    """It is not, and K3s would not start."""
    return Judgement(Verdict.FAIL, observed, source, reason, remedy)


def unknown(reason: str) -> Judgement:
    """Nobody could look."""
    return Judgement(Verdict.UNKNOWN, "", "", reason)
