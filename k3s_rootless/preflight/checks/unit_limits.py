"""Checks that the limits of the unit are high enough: memory, tasks and open files.

A limit fails if K3s v1.36.3 was observed to exit with it. Between that limit and what an idle K3s
uses, the check warns: only the owner of the pods knows how much they need. The limits of the next
start count: `up` lets systemd read changed files first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s import needs
from k3s_rootless.k3s.needs import Need
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks.judgement import (
    FATAL,
    Checklist,
    Judgement,
    failed,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Unit
from k3s_rootless.preflight.remedies import drop_ins

check = Checklist()
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class _Rule:
    """A limit by its name in systemd, what K3s needs of it, and how it is shown and corrected."""

    name: str
    need: Need
    remedy: Remedy
    shown: Callable[[int], str] = str

    def judge(self, limit: int | None, beside: str, source: str) -> Judgement:
        """Compare a limit with what K3s needs; `beside` is added to what was observed."""
        if limit is None:
            return passed(f"no limit{beside}", source)
        observed = f"{self.name} is {self.shown(limit)}{beside}"
        if limit <= self.need.deadly:
            reason = f"K3s exits with this limit: {self.need.reason}"
            return failed(observed, reason, self.remedy, source)
        if self.is_low(limit):
            return warned(observed, f"this can be too low: {self.need.reason}", self.remedy, source)
        return passed(f"{self.shown(limit)}{beside}", source)

    def is_low(self, limit: int | None) -> bool:
        """Return whether an idle K3s can need more."""
        return limit is not None and limit < self.need.enough


def _mebibytes(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"


def _without(name: str, need: Need) -> _Rule:
    text = f"remove the limit, as the unit of K3s does: {name}=infinity"
    remedy = drop_ins.written(text, f"zz-{name.lower()}.conf", f"{name}=infinity")
    return _Rule(name, need, remedy)


_MEMORY = _Rule(
    "MemoryMax",
    needs.MEMORY,
    Remedy(
        FixableBy.USER,
        "set the memory limit to 2 GiB",
        ("k3s-rootless config set MemoryMax 2G", "k3s-rootless up"),
    ),
    _mebibytes,
)
_TASKS = _without("TasksMax", needs.TASKS)
_FILES = _without("LimitNOFILE", needs.FILES)


@check.seen("unit.memory", "Memory limit of the unit", FATAL, "unit")
def unit_memory(_: Facts, seen: Known[Unit]) -> Judgement:
    """Check the memory limit of the unit.

    An idle K3s uses 500 to 800 MiB. With MemoryMax=200M, it was killed at each start (v1.36.3).
    """
    return _judged(seen, _MEMORY)


@check.seen("unit.tasks", "Task limit of the unit", FATAL, "unit")
def unit_tasks(_: Facts, seen: Known[Unit]) -> Judgement:
    """Check the task limit of the unit.

    With TasksMax=24, K3s exited with `fork/exec …: resource temporarily unavailable` (v1.36.3).
    """
    return _judged(seen, _TASKS)


@check.seen("unit.files", "Open file limit of the unit", FATAL, "unit")
def unit_files(_: Facts, seen: Known[Unit]) -> Judgement:
    """Check the limit of open files of the unit.

    The server alone has 88 open files (v1.36.3). With LimitNOFILE=64, K3s exited.
    """
    return _judged(seen, _FILES)


def _judged(seen: Known[Unit], rule: _Rule) -> Judgement:
    """Judge the limit of the next start."""
    unit = seen.value
    limit = unit.limits.get(rule.name)
    unread = unit.unread.get(rule.name)
    # Without a file, a limit is a default of systemd, or was removed. A default is not low.
    if unread is None or not (unread.file or rule.is_low(limit)):
        return rule.judge(limit, "", seen.source)
    if isinstance(unread.value, Unknown):
        return unknown(f"systemd has not read {unread.file} yet: {unread.value.reason}")
    present = "no limit" if limit is None else rule.shown(limit)
    who = "the running K3s" if unit.active_state == "active" else "the loaded unit"
    beside = f" at the next start; {who} has {present}"
    return rule.judge(unread.value.value, beside, unread.file)
