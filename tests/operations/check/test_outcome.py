"""Tests of the outcome of findings.

The most serious failure decides, and ignored checks do not count.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.errors import PreflightFailed
from k3s_rootless.finding import Finding, FixableBy, Remedy, Severity, Verdict
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.check import outcome, selection
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.launch.events import ChecksFailed
from k3s_rootless.preflight.facts import K3sBinary
from k3s_rootless.preflight.records import Problem
from k3s_rootless.preflight.remedies import host
from tests.operations.check.hosts import context
from tests.strategies import HEALTHY, facts, k3s


def finding(check: str, verdict: Verdict = Verdict.FAIL, **more: Any) -> Finding:
    return Finding(check, f"title of {check}", verdict, "seen", reason="it matters", **more)


RENAMED = replace(HEALTHY.host.value, hostname="a_b")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, None),
        ({"lingers": Known(value=False)}, None),
        ({"host": Known(RENAMED)}, 6),
        ({"problems": Known((Problem("A", "x", fatal=True),))}, 5),
        ({"systemd_booted": False}, 8),
        ({"network": Unknown("dark")}, None),
        ({"storage": Unknown("dark")}, 1),
    ],
    ids=[
        "healthy",
        "warning",
        "administrator",
        "user",
        "none",
        "unknown, not fatal",
        "unknown, fatal",
    ],
)
def test_the_exit_code_is_that_of_the_most_difficult_failure(
    changes: dict[str, Any], code: int | None
) -> None:
    error = outcome.error(selection.judge(facts(**changes)))

    assert code == (error.exit_code if error else None)


@pytest.mark.parametrize(
    ("fixable_by", "code"),
    [
        ((FixableBy.USER,), 5),
        ((FixableBy.USER, FixableBy.ADMINISTRATOR), 6),
        ((FixableBy.NONE, FixableBy.USER, FixableBy.ADMINISTRATOR), 8),
        ((), 5),
    ],
    ids=str,
)
def test_who_can_fix_the_failures_decides_the_refusal(
    fixable_by: tuple[FixableBy, ...], code: int
) -> None:
    failed = [finding(one.value, remedy=Remedy(one, "do it")) for one in fixable_by]

    error = outcome.refusal([*failed, finding("without.remedy")])

    assert code == error.exit_code
    assert error.message.endswith(", ".join([*(one.value for one in fixable_by), "without.remedy"]))


def test_a_failure_comes_before_an_unknown() -> None:
    dark = finding("net.route", Verdict.UNKNOWN)
    failed = finding("userns.create")

    alone = outcome.error([dark])
    both = outcome.error([dark, failed])

    assert alone is not None
    assert "cannot check whether this host is ready for rootless K3s: net.route" == alone.message
    assert both is not None
    assert "net.route" not in both.message


def test_ignored_checks_and_groups_do_not_count() -> None:
    found = (
        finding("net.route"),
        finding("net.resolver", Verdict.UNKNOWN),
        finding("netting.mask"),
        finding("storage.room", Verdict.WARN),
    )

    assert (found[0], found[2]) == outcome.failures(found)
    assert (found[2],) == outcome.failures(found, ["net"])
    assert (found[1],) == outcome.unknown(found)
    assert () == outcome.unknown(found, ["net.resolver"])
    assert found[2:] == outcome.not_ignored(found, ["net"])
    assert outcome.error(found, ["net", "netting"]) is None


def test_a_host_that_lacks_only_k3s_gets_the_command_for_it() -> None:
    lacking = facts(k3s=K3sBinary(path=None))
    error = outcome.error(selection.judge(lacking))

    assert error
    assert "get K3s and start it with: k3s-rootless up --get" == error.hint
    broken = replace(lacking, problems=Known((Problem("A", "x", fatal=True),)))
    error = outcome.error(selection.judge(broken))
    assert error
    assert "apply the fixes above" in (error.hint or "")


def test_an_unknown_that_cannot_keep_k3s_from_starting_does_not_count() -> None:
    found = finding("host.wsl", Verdict.UNKNOWN, severity=Severity.DEGRADED)

    assert () == outcome.unknown([found])
    assert outcome.error([found]) is None


def test_up_fixes_a_stale_user_manager_and_the_state_of_its_unit() -> None:
    assert outcome.fixed_by_up(finding("unit.state"))
    assert outcome.fixed_by_up(finding("config.certificates"))
    assert outcome.fixed_by_up(finding("cgroup.delegation.cpu", remedy=host.reexecute()))
    assert not outcome.fixed_by_up(finding("userns.create"))


def test_without_k3s_nothing_is_installed(tmp_path: Path) -> None:
    events: list[Event] = []
    found = selection.judge(facts(k3s=k3s(path=None), systemd_booted=False))

    with pytest.raises(PreflightFailed) as raised:
        outcome.require_k3s(context(tmp_path, events.append), found)

    (lacking,) = events
    assert isinstance(lacking, ChecksFailed)
    assert {"k3s"} == {one.check.partition(".")[0] for one in lacking.findings}
    assert "systemd.booted" not in raised.value.message


def test_other_failures_are_only_reported(tmp_path: Path) -> None:
    events: list[Event] = []
    found = (finding("k3s.release", Verdict.WARN), finding("net.route"), finding("storage.room"))

    outcome.require_k3s(context(tmp_path, events.append), found)

    assert [
        Notice("title of k3s.release: seen: it matters"),
        Notice(
            "this host is not ready for rootless K3s: net.route, storage.room; for details, run:"
            " k3s-rootless check"
        ),
    ] == events


def test_nothing_is_reported_on_a_healthy_host(tmp_path: Path) -> None:
    events: list[Event] = []

    outcome.require_k3s(context(tmp_path, events.append), selection.judge(HEALTHY))

    assert [] == events
