from __future__ import annotations

import errno
import re
import subprocess
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings

from k3s_rootless.finding import Finding, Mender, Verdict, matches
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks import CHECKS, judge
from k3s_rootless.preflight.facts import CgroupMode, Delegation, Facts, K3sBinary, SubidRange
from tests.preflight.rows import ROWS, Row
from tests.strategies import DEFAULT, FIVE, HEALTHY, any_facts, delegation, facts

IDS = [check.id for check in CHECKS]
UNKNOWN_FAILS = {"systemd.user", "k3s.version"}
"""These two ask for an answer: a manager that gives none and a k3s that names no release are what they look for."""


def answer(host: Facts, check: str) -> Finding:
    return next(finding for finding in judge(host) if finding.check == check)


def test_a_healthy_host_passes_every_check() -> None:
    assert {finding.verdict for finding in judge(HEALTHY)} == {Verdict.PASS}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_check_says_what_is_wrong_and_who_mends_it(row: Row) -> None:
    found = answer(row.host, row.check)

    assert found.verdict is row.verdict
    assert row.said in f"{found.observed} | {found.reason}"
    assert (found.remedy.mender if found.remedy else None) is row.mender


@pytest.mark.parametrize("check", IDS)
def test_every_check_has_a_row_for_its_no(check: str) -> None:
    assert {row.verdict for row in ROWS if row.check == check} & {Verdict.FAIL, Verdict.WARN}


@pytest.mark.parametrize("row", [row for row in ROWS if row.verdict is not Verdict.PASS], ids=str)
def test_what_is_wrong_with_one_thing_leaves_the_other_checks_alone(row: Row) -> None:
    others = {finding.check for finding in judge(row.host) if finding.verdict in {Verdict.FAIL, Verdict.WARN}}
    together = {"user.nonroot": {"session.runtime_dir", "k3s.binary"}, "cgroup.delegation": {"cgroup.delegation"}}
    allowed = {row.check, *(name for group, names in together.items() if matches(row.check, group) for name in names)}

    assert all(any(matches(other, one) for one in allowed) for other in others)


def test_the_ids_are_unique_and_spelled_alike() -> None:
    assert len(set(IDS)) == len(IDS)
    assert [identifier for identifier in IDS if not re.fullmatch(r"[a-z0-9]+(\.[a-z0-9_]+)+", identifier)] == []
    assert [check.title for check in CHECKS if not check.title or check.title != check.title.strip()] == []


def test_the_ids_stay_what_scripts_know_them_as() -> None:
    assert IDS == [
        *("user.nonroot", "systemd.booted", "session.runtime_dir", "systemd.user", "cgroup.v2"),
        *(f"cgroup.delegation.{controller}" for controller in ("cpu", "cpuset", "memory", "pids", "io")),
        *("sysctl.ip_forward", "userns.sysctl", "userns.max", "userns.create"),
        *("uidmap.newuidmap", "uidmap.newgidmap", "subid.subuid", "subid.subgid", "k3s.binary", "k3s.version"),
    ]


STATES = {
    "not configured": (delegation(DEFAULT, realized=DEFAULT, configured=DEFAULT), Mender.ADMINISTRATOR, "daemon-reload"),
    "configured": (delegation(DEFAULT, realized=DEFAULT), Mender.USER, "k3s-rootless up"),
    "realized": (delegation(DEFAULT), Mender.USER, "systemctl --user daemon-reexec"),
    "effective": (delegation(), None, ""),
}


@pytest.mark.parametrize("state", STATES)
def test_the_four_states_of_delegation_are_told_apart(state: str) -> None:
    """Seen step by step on systemd 257: three of them look alike to who reads one file only."""
    reach, mender, command = STATES[state]

    found = answer(facts(delegation=reach), "cgroup.delegation.cpuset")

    assert found.verdict is (Verdict.FAIL if mender else Verdict.PASS)
    assert (found.remedy.mender if found.remedy else None) is mender
    assert command in "\n".join(found.remedy.commands if found.remedy else ())


def test_the_four_states_are_described_in_four_ways() -> None:
    said = {answer(facts(delegation=reach), "cgroup.delegation.cpuset").observed for reach, _, _ in STATES.values()}

    assert said == {"not delegated", "configured, not realized", "realized, not effective", "delegated"}


def test_what_a_unit_was_given_decides_whatever_lies_above_it() -> None:
    none: frozenset[str] = frozenset()

    assert (
        answer(facts(delegation=delegation(FIVE, realized=none, configured=none)), "cgroup.delegation.cpu").verdict
        is Verdict.PASS
    )
    looked = Delegation(Known(FIVE), Known(FIVE), Known(FIVE), Unknown("there is no user manager"))
    assert answer(facts(delegation=looked), "cgroup.delegation.cpu").verdict is Verdict.UNKNOWN


def test_where_the_upper_stages_are_unknown_the_missing_controller_is_still_a_no() -> None:
    blind = Delegation(Unknown("no"), Unknown("no"), Unknown("no"), Known(DEFAULT))

    assert answer(facts(delegation=blind), "cgroup.delegation.cpuset").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "field",
    ["user_manager", "cgroup", "delegation", "sysctls", "namespace", "newuidmap", "newgidmap", "subuid", "subgid", "k3s"],
)
def test_what_nobody_could_look_at_is_neither_a_yes_nor_a_no(field: str) -> None:
    dark = Unknown("it is dark")
    unseen = {
        "delegation": Delegation(dark, dark, dark, dark),
        "sysctls": dict.fromkeys(HEALTHY.sysctls, dark),
        "k3s": K3sBinary("/usr/local/bin/k3s", executable=True, version=dark),
    }

    changed = [
        finding
        for finding, before in zip(judge(facts(**{field: unseen.get(field, dark)})), judge(HEALTHY), strict=True)
        if finding != before
    ]

    assert changed
    for finding in changed:
        assert finding.verdict is (Verdict.FAIL if finding.check in UNKNOWN_FAILS else Verdict.UNKNOWN)
        assert "it is dark" in finding.reason


def test_each_observation_is_covered_by_the_test_above() -> None:
    plain = {"uid", "user", "machine", "systemd_booted", "runtime", "distribution"}

    assert {field.name for field in fields(Facts)} - plain == {
        *("user_manager", "cgroup", "delegation", "sysctls", "namespace"),
        *("newuidmap", "newgidmap", "subuid", "subgid", "k3s"),
    }


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(any_facts())
def test_any_host_is_judged_and_every_no_has_a_reason_and_a_remedy(host: Facts) -> None:
    findings = judge(host)

    assert [finding.check for finding in findings] == IDS
    for finding in findings:
        negative = finding.verdict in {Verdict.FAIL, Verdict.WARN}
        assert (finding.remedy is not None) == negative
        assert bool(finding.reason) == (finding.verdict is not Verdict.PASS)
        assert finding.remedy is None or finding.remedy.text


def test_every_command_of_every_remedy_is_one_that_a_shell_can_read() -> None:
    strange = facts(user="o'brien $(reboot)", subuid=Known(()), subgid=Known((SubidRange(1, 1),)))
    hosts = [*(row.host for row in ROWS), strange]
    commands = {c for host in hosts for finding in judge(host) if finding.remedy for c in finding.remedy.commands}

    assert len(commands) > 15
    assert [command for command in commands if not command.isprintable() or command != command.strip()] == []
    for command in commands:
        checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), command


def test_the_limit_of_user_namespaces_is_told_from_a_ban() -> None:
    limit = answer(facts(namespace=Known(errno.ENOSPC)), "userns.create")
    ban = answer(facts(namespace=Known(errno.EPERM)), "userns.create")

    assert (limit.observed, ban.observed) == ("ENOSPC", "EPERM")
    assert limit.remedy != ban.remedy


def test_a_hybrid_host_is_told_to_boot_with_version_2_alone() -> None:
    found = answer(facts(cgroup=Known(CgroupMode.HYBRID)), "cgroup.v2")

    assert found.remedy is not None
    assert "systemd.unified_cgroup_hierarchy=1" in found.remedy.text
