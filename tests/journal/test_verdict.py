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
    ("ending", "identifier", "title"),
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
def test_an_exit_status_names_a_cause_without_log_lines(
    ending: Ending, identifier: str | None, title: str
) -> None:
    found = verdict.of_ending(ending)

    assert (found and found.id) == identifier
    if found:
        assert title in found.title
        assert found.remedy is not None


@pytest.mark.parametrize(
    ("load_state", "identifier"),
    [("masked", "unit-masked"), ("error", "unit-broken"), ("bad-setting", "unit-broken")],
)
def test_a_unit_that_systemd_cannot_start_is_a_cause(load_state: str, identifier: str) -> None:
    found = verdict.of_unit(Ending(load_state, "inactive", "dead", load_error="no ExecStart="))

    assert found is not None
    assert identifier == found.id
    assert verdict.of_unit(FAILED) is None


def test_a_failed_check_adds_its_observation_and_its_fix() -> None:
    found = verdict.with_host(
        FORWARD, [finding("sysctl.ip_forward", "0"), finding("userns.max", "0")], (), FAILED
    )

    assert ("sysctl.ip_forward", ADMINISTRATOR) == (found.check, found.remedy)
    assert ("sysctl.ip_forward: 0: because",) == found.seen


@pytest.mark.parametrize(
    ("named", "warned", "explains"),
    [
        ("storage.space", "storage.space", True),
        ("kernel", "kernel.br_netfilter", True),
        ("net.cidr", "net.cidr.pods", True),
        ("net.port", "net.port.http", False),
        ("cgroup.delegation", "cgroup.delegation.io", False),
    ],
)
def test_a_warning_explains_only_a_cause_that_names_its_check(
    named: str, warned: str, *, explains: bool
) -> None:
    fix = replace(ADMINISTRATOR, text="fix it")
    warning = Finding(warned, warned, Verdict.WARN, "so", reason="because", remedy=fix)

    found = verdict.with_host(replace(CPUSET, id="disk-full", check=named), [warning], (), FAILED)

    assert (found.check, found.remedy == fix) == ((warned, True) if explains else (named, False))


def test_if_the_host_was_fixed_since_the_fix_is_up() -> None:
    found = verdict.with_host(
        FORWARD, [finding("sysctl.ip_forward", "1", Verdict.PASS)], (), FAILED
    )

    assert found.remedy is not None
    assert ("k3s-rootless up",) == found.remedy.commands
    assert "reports no failure now" in found.seen[0]


@pytest.mark.parametrize("observed", ["configured, not realized", "realized, not effective"])
def test_configured_but_not_effective_delegation_is_a_separate_cause(observed: str) -> None:
    found = verdict.with_host(CPUSET, [finding("cgroup.delegation.cpuset", observed)], (), FAILED)

    assert ("delegation-stale", ADMINISTRATOR) == (found.id, found.remedy)
    assert "cpuset" in found.title


def test_an_old_systemd_without_cpuset_delegation_is_a_separate_cause() -> None:
    findings = [
        finding("cgroup.delegation.cpuset", "not delegated"),
        finding("systemd.user", "systemd 239.5", Verdict.PASS),
    ]

    assert "systemd-old" == verdict.with_host(CPUSET, findings, (), FAILED).id
    assert "cgroup-controller" == verdict.with_host(CPUSET, findings[:1], (), FAILED).id


def test_a_unit_without_delegation_is_the_cause_regardless_of_the_host() -> None:
    ending = replace(FAILED, delegate=False, drop_ins=("/x/50.conf",))

    found = verdict.with_host(
        CPUSET, [finding("cgroup.delegation.cpuset", "not delegated")], (), ending
    )

    assert "unit-not-delegating" == found.id
    assert "/x/50.conf" in found.seen[0]


def test_an_unknown_finding_adds_nothing() -> None:
    unknown = finding("sysctl.ip_forward", "", Verdict.UNKNOWN)

    found = verdict.with_host(FORWARD, [unknown], (), FAILED)

    assert (found.seen, found.remedy) == ((), FORWARD.remedy)


OPTION = cause('level=fatal msg="flag provided but not defined: -no-such-flag"')
A, B = "/home/a b/10-a.conf", "/x/20-b.conf"


def test_the_only_drop_in_with_the_setting_is_disabled() -> None:
    remedy = verdict.drop_in_remedy(
        OPTION, {A: "ExecStart=/k3s server --no-such-flag", B: "MemoryMax=1G"}
    )

    assert remedy is not None
    assert remedy.fixable_by is FixableBy.USER
    assert f"mv '{A}' '{A}'.off" in remedy.commands
    assert remedy == verdict.with_host(OPTION, (), (), FAILED, remedy).remedy


@pytest.mark.parametrize(
    ("found", "drop_ins"),
    [
        (OPTION, {}),
        (OPTION, {A: "ExecStart=/k3s server"}),
        (OPTION, {A: "ExecStart=/k3s --no-such-flag", B: "ExecStart=/k3s --no-such-flag"}),
        (FORWARD, {A: "ExecStart=/k3s server"}),
        (replace(OPTION, id="exit-chdir"), {A: "", B: ""}),
    ],
    ids=["none", "another option", "two", "no setting", "which of two"],
)
def test_no_drop_in_is_disabled_unless_exactly_one_sets_it(
    found: Cause, drop_ins: dict[str, str]
) -> None:
    assert verdict.drop_in_remedy(found, drop_ins) is None


def test_the_fix_of_a_failed_check_has_priority() -> None:
    other = Remedy(FixableBy.USER, "disable it")

    assert (
        ADMINISTRATOR
        == verdict.with_host(FORWARD, [finding("sysctl.ip_forward", "0")], (), FAILED, other).remedy
    )
