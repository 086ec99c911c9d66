"""Tests of the facts that systemd and the host add to a line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from k3s_rootless.finding import Finding, FixableBy, Remedy, Verdict
from k3s_rootless.journal import diagnosis, verdict
from k3s_rootless.journal.facts import Cause, Ending, Entry

FAILED = Ending("loaded", "failed", "failed", "exit-code", code=1, status=1, delegate=True)
ADMINISTRATOR = Remedy(FixableBy.ADMINISTRATOR, "delegate it", ("sudo delegate",))


def cause(line: str) -> Cause:
    found = diagnosis.first_cause([Entry(None, line)])
    assert found is not None
    return found


CPUSET = cause('level=fatal msg="failed to find cpuset cgroup (v2)"')
FORWARD = cause(
    'level=fatal msg="expected sysctl value \\"net.ipv4.ip_forward\\" to be \\"1\\", got \\"0\\";'
    ' try"'
)


def finding(check: str, observed: str, state: Verdict = Verdict.FAIL) -> Finding:
    remedy = ADMINISTRATOR if state is Verdict.FAIL else None
    return Finding(check, check, state, observed, reason="because" if remedy else "", remedy=remedy)


@pytest.mark.parametrize(
    ("ending", "identifier", "words"),
    [
        (replace(FAILED, status=203), "exec-failed", "203/EXEC"),
        (replace(FAILED, status=200), "exit-chdir", "200/CHDIR"),
        (replace(FAILED, status=217), "exit-user", "217/USER"),
        (replace(FAILED, status=218), "exit-capabilities", "218/CAPABILITIES"),
        (replace(FAILED, status=219), "exit-cgroup", "219/CGROUP"),
        (replace(FAILED, status=226), "exit-namespace", "226/NAMESPACE"),
        (replace(FAILED, code=2, status=9, result="signal"), "killed", "SIGKILL"),
        (
            replace(FAILED, code=2, status=9, result="oom-kill"),
            "killed-by-memory",
            "out of memory",
        ),
        (replace(FAILED, code=3, status=6, result="core-dump"), "signal", "signal 6"),
        (replace(FAILED, result="timeout"), "timeout", "longer than systemd allows"),
        (FAILED, None, ""),
        (replace(FAILED, status=255), None, ""),
    ],
)
def test_an_exit_status_is_read_where_no_line_says_more(
    ending: Ending, identifier: str | None, words: str
) -> None:
    found = verdict.of_ending(ending)

    assert (found and found.id) == identifier
    if found:
        assert words in found.title
        assert found.remedy is not None


@pytest.mark.parametrize(
    ("load_state", "identifier"),
    [("masked", "unit-masked"), ("error", "unit-broken"), ("bad-setting", "unit-broken")],
)
def test_a_unit_that_cannot_be_started_at_all_is_told(load_state: str, identifier: str) -> None:
    found = verdict.of_unit(Ending(load_state, "inactive", "dead", load_error="no ExecStart="))

    assert found is not None
    assert identifier == found.id
    assert verdict.of_unit(FAILED) is None


def test_a_failed_check_gives_its_observation_and_its_remedy() -> None:
    found = verdict.with_host(
        FORWARD, [finding("sysctl.ip_forward", "0"), finding("userns.max", "0")], (), FAILED
    )

    assert ("sysctl.ip_forward", ADMINISTRATOR) == (found.check, found.remedy)
    assert ("sysctl.ip_forward: 0: because",) == found.seen


@pytest.mark.parametrize(
    ("asked", "warned", "explains"),
    [
        ("storage.space", "storage.space", True),
        ("kernel", "kernel.br_netfilter", True),
        ("net.cidr", "net.cidr.pods", True),
        ("net.port", "net.port.http", False),
        ("cgroup.delegation", "cgroup.delegation.io", False),
    ],
)
def test_a_warning_explains_what_asks_for_it_and_not_whatever_else_is_in_its_group(
    asked: str, warned: str, *, explains: bool
) -> None:
    mended = replace(ADMINISTRATOR, text="mend it")
    warning = Finding(warned, warned, Verdict.WARN, "so", reason="because", remedy=mended)

    found = verdict.with_host(replace(CPUSET, id="disk-full", check=asked), [warning], (), FAILED)

    assert (found.check, found.remedy == mended) == ((warned, True) if explains else (asked, False))


def test_what_was_mended_since_is_told_and_then_up_is_the_remedy() -> None:
    found = verdict.with_host(
        FORWARD, [finding("sysctl.ip_forward", "1", Verdict.PASS)], (), FAILED
    )

    assert found.remedy is not None
    assert ("k3s-rootless up",) == found.remedy.commands
    assert "reports no failure now" in found.seen[0]


@pytest.mark.parametrize("observed", ["configured, not realized", "realized, not effective"])
def test_delegation_that_is_configured_and_not_effective_is_its_own_cause(observed: str) -> None:
    found = verdict.with_host(CPUSET, [finding("cgroup.delegation.cpuset", observed)], (), FAILED)

    assert ("delegation-stale", ADMINISTRATOR) == (found.id, found.remedy)
    assert "cpuset" in found.title


def test_a_systemd_that_cannot_delegate_cpuset_is_its_own_cause() -> None:
    findings = [
        finding("cgroup.delegation.cpuset", "not delegated"),
        finding("systemd.user", "systemd 239.5", Verdict.PASS),
    ]

    assert "systemd-old" == verdict.with_host(CPUSET, findings, (), FAILED).id
    assert "cgroup-controller" == verdict.with_host(CPUSET, findings[:1], (), FAILED).id


def test_a_unit_that_does_not_ask_for_delegation_is_the_cause_whatever_the_host_delegates() -> None:
    ending = replace(FAILED, delegate=False, drop_ins=("/x/50.conf",))

    found = verdict.with_host(
        CPUSET, [finding("cgroup.delegation.cpuset", "not delegated")], (), ending
    )

    assert "unit-not-delegating" == found.id
    assert "/x/50.conf" in found.seen[0]


def test_nobody_who_could_look_says_nothing() -> None:
    unknown = finding("sysctl.ip_forward", "", Verdict.UNKNOWN)

    found = verdict.with_host(FORWARD, [unknown], (), FAILED)

    assert (found.seen, found.remedy) == ((), FORWARD.remedy)


OPTION = cause('level=fatal msg="flag provided but not defined: -no-such-flag"')
A, B = "/home/a b/10-a.conf", "/x/20-b.conf"


def test_the_one_drop_in_that_sets_it_is_put_aside_as_can_be_pasted() -> None:
    remedy = verdict.drop_in_remedy(
        OPTION, {A: "ExecStart=/k3s server --no-such-flag", B: "MemoryMax=1G"}
    )

    assert remedy is not None
    assert remedy.fixable_by is FixableBy.USER
    assert f"mv '{A}' '{A}'.off" in remedy.commands
    assert remedy == verdict.with_host(OPTION, (), (), FAILED, remedy).remedy


@pytest.mark.parametrize(
    ("told", "drop_ins"),
    [
        (OPTION, {}),
        (OPTION, {A: "ExecStart=/k3s server"}),
        (OPTION, {A: "ExecStart=/k3s --no-such-flag", B: "ExecStart=/k3s --no-such-flag"}),
        (FORWARD, {A: "ExecStart=/k3s server"}),
        (replace(OPTION, id="exit-chdir"), {A: "", B: ""}),
    ],
    ids=["none", "another option", "two", "no setting", "which of two"],
)
def test_where_no_drop_in_is_known_to_be_to_blame_none_is_moved(
    told: Cause, drop_ins: dict[str, str]
) -> None:
    assert verdict.drop_in_remedy(told, drop_ins) is None


def test_the_remedy_of_a_failed_check_comes_before_that() -> None:
    other = Remedy(FixableBy.USER, "put it aside")

    assert (
        ADMINISTRATOR
        == verdict.with_host(FORWARD, [finding("sysctl.ip_forward", "0")], (), FAILED, other).remedy
    )
