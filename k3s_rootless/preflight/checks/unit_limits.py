"""Checks that the limits of the unit are high enough: memory, tasks and open files.

A limit fails if K3s v1.36.3 was observed to exit with it. Between that limit and what an idle K3s
uses, the check warns: only the owner of the pods knows how much they need.
"""

from __future__ import annotations

from collections.abc import Callable

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s import needs
from k3s_rootless.k3s.needs import Need
from k3s_rootless.observation import Known
from k3s_rootless.preflight.checks.judgement import (
    FATAL,
    Checklist,
    Judgement,
    failed,
    passed,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Unit
from k3s_rootless.preflight.remedies import drop_ins

check = Checklist()
_MIB = 2**20


@check.seen("unit.memory", "Memory limit of the unit", FATAL, "unit")
def unit_memory(_: Facts, seen: Known[Unit]) -> Judgement:
    """Check the memory limit of the unit.

    An idle K3s uses 500 to 800 MiB. With MemoryMax=200M, it was killed at each start (v1.36.3).
    """
    text = "set the memory limit to 2 GiB"
    remedy = Remedy(
        FixableBy.USER, text, ("k3s-rootless config set MemoryMax 2G", "k3s-rootless up")
    )
    return _judged(seen, "MemoryMax", needs.MEMORY, remedy, _mebibytes)


@check.seen("unit.tasks", "Task limit of the unit", FATAL, "unit")
def unit_tasks(_: Facts, seen: Known[Unit]) -> Judgement:
    """Check the task limit of the unit.

    With TasksMax=24, K3s exited with `fork/exec …: resource temporarily unavailable` (v1.36.3).
    """
    remedy = _without_limit("TasksMax")
    return _judged(seen, "TasksMax", needs.TASKS, remedy, str)


@check.seen("unit.files", "Open file limit of the unit", FATAL, "unit")
def unit_files(_: Facts, seen: Known[Unit]) -> Judgement:
    """Check the limit of open files of the unit.

    The server alone has 88 open files (v1.36.3). With LimitNOFILE=64, K3s exited.
    """
    remedy = _without_limit("LimitNOFILE")
    return _judged(seen, "LimitNOFILE", needs.FILES, remedy, str)


def _judged(
    seen: Known[Unit],
    name: str,
    need: Need,
    remedy: Remedy,
    shown: Callable[[int], str],
) -> Judgement:
    """Compare a limit of the unit with what K3s needs."""
    limit = seen.value.limits.get(name)
    if limit is None:
        return passed("no limit", seen.source)
    observed = f"{name} is {shown(limit)}"
    if limit <= need.deadly:
        return failed(observed, f"K3s exits with this limit: {need.reason}", remedy, seen.source)
    if limit < need.enough:
        return warned(observed, f"this can be too low: {need.reason}", remedy, seen.source)
    return passed(shown(limit), seen.source)


def _without_limit(name: str) -> Remedy:
    text = f"remove the limit, as the unit of K3s does: {name}=infinity"
    return drop_ins.written(text, f"zz-{name.lower()}.conf", f"{name}=infinity")


def _mebibytes(size: int) -> str:
    return f"{size / _MIB:.0f} MiB"
