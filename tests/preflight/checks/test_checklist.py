from __future__ import annotations

import errno
import re
import subprocess
from dataclasses import fields, replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings

from k3s_rootless.finding import Finding, FixableBy, Severity, Verdict, matches
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks.checklist import CHECKS, judge
from k3s_rootless.preflight.checks.judgement import Check
from k3s_rootless.preflight.facts import CgroupMode, Delegation, Facts, K3sBinary, SubidRange
from tests.preflight.row import Row
from tests.preflight.rows import ROWS
from tests.strategies import DEFAULT, FIVE, HEALTHY, TRIED, any_facts, delegation, facts

IDS = [check.id for check in CHECKS]
NAMES = """
user.nonroot systemd.booted session.runtime_dir systemd.user cgroup.v2 cgroup.delegation.cpu
cgroup.delegation.cpuset cgroup.delegation.memory cgroup.delegation.pids cgroup.delegation.io
systemd.version session.caller session.linger session.journal unit.state env.valid sysctl.ip_forward
sysctl.inotify_instances sysctl.inotify_watches sysctl.keys sysctl.port_start sysctl.ping
userns.sysctl userns.max userns.limits userns.apparmor userns.create userns.spaces uidmap.newuidmap
uidmap.newgidmap uidmap.privileges uidmap.mapping uidmap.nested subid.subuid subid.subgid
subid.files subid.overlap k3s.binary k3s.version k3s.support k3s.ipset kernel.release
kernel.br_netfilter kernel.nf_conntrack kernel.bridge kernel.veth kernel.vxlan kernel.iptables
kernel.ip_set kernel.nflog device.tun device.fuse device.kmsg snapshotter.mount_fuse3
snapshotter.overlayfs net.port.api net.port.http net.port.https net.cidr.rootless net.cidr.pods
net.cidr.services net.mtu net.resolver net.localhost net.route net.firewall net.nm_cloud_setup
net.iptables storage.home storage.data storage.type storage.mount storage.space storage.quota
storage.tmp storage.socket storage.datastore storage.leftovers storage.unpacking config.readable
config.rootful
security.selinux host.container host.memory host.processors host.clock host.hostname host.hidepid
host.files host.tasks unit.memory unit.tasks unit.files config.syntax config.options config.token
config.kubeconfig config.certificates config.expiry config.ca_keys config.networks
config.node config.server
gpu.driver gpu.devices gpu.toolkit gpu.cdi gpu.cgroups containerd.default_runtime
"""
UNKNOWN_FAILS = {"systemd.user", "k3s.version"}
"""Checks that fail if their fact is unknown, because the missing answer is the fault.

systemd.user requires an answer of the user manager, and k3s.version requires a release of k3s.
"""


def answer(host: Facts, check: str) -> Finding:
    return next(finding for finding in judge(host) if finding.check == check)


def test_a_healthy_host_passes_every_check() -> None:
    assert {Verdict.PASS} == {finding.verdict for finding in judge(HEALTHY)}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_check_reports_the_problem_and_who_can_fix_it(row: Row) -> None:
    found = answer(row.host, row.check)

    assert found.verdict is row.verdict
    assert row.expected in f"{found.observed} | {found.reason}"
    assert (found.remedy.fixable_by if found.remedy else None) is row.fixable_by


@pytest.mark.parametrize("check", IDS)
def test_every_check_has_a_row_in_which_it_does_not_pass(check: str) -> None:
    assert {row.verdict for row in ROWS if row.check == check} & {
        Verdict.FAIL,
        Verdict.WARN,
        Verdict.INFO,
    }


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_the_worst_verdict_of_each_check_is_that_of_its_severity(check: Check) -> None:
    worst = {
        Severity.FATAL: Verdict.FAIL,
        Severity.DEGRADED: Verdict.WARN,
        Severity.INFORMATIVE: Verdict.INFO,
    }[check.severity]
    beyond = {
        Severity.FATAL: set(),
        Severity.DEGRADED: {Verdict.FAIL},
        Severity.INFORMATIVE: {Verdict.FAIL, Verdict.WARN},
    }
    found = {row.verdict for row in ROWS if row.check == check.id}

    assert worst in found
    assert not found & beyond[check.severity]


class OnlyNeeded:
    """Facts that can be read only if a check needs them, or if they cost nothing."""

    FREE = frozenset(
        {"uid", "gid", "user", "machine", "systemd_booted", "runtime", "server", "distribution"}
    )

    def __init__(self, host: Facts, check: Check) -> None:
        self._facts, self._allowed = host, check.needs | self.FREE

    def __getattr__(self, name: str) -> Any:
        assert name in self._allowed, f"the check reads {name}, and does not list it in its needs"
        return getattr(self._facts, name)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.id)
def test_a_check_reads_only_the_facts_in_its_needs(check: Check) -> None:
    """For `check ID`, only the facts that the check needs are read."""
    for row in ROWS:
        assert check.judge(cast("Facts", OnlyNeeded(row.host, check))) == check.judge(row.host)


@pytest.mark.parametrize("row", [row for row in ROWS if row.verdict is not Verdict.PASS], ids=str)
def test_one_problem_fails_only_the_checks_that_it_affects(row: Row) -> None:
    others = {
        finding.check
        for finding in judge(row.host)
        if finding.verdict in {Verdict.FAIL, Verdict.WARN}
    }
    affected = {
        "user.nonroot": {"session.runtime_dir", "k3s.binary"},
        "cgroup.delegation": {"cgroup.delegation"},
        "k3s.version": {"k3s.support"},
        **{group: {group} for group in ("userns", "kernel", "net.cidr")},
    }
    allowed = {
        row.check,
        *(name for group, names in affected.items() if matches(row.check, group) for name in names),
    }

    assert all(any(matches(other, one) for one in allowed) for other in others)


def test_the_ids_are_unique_and_have_one_format() -> None:
    assert len(set(IDS)) == len(IDS)
    assert [] == [
        identifier
        for identifier in IDS
        if not re.fullmatch(r"[a-z0-9]+(\.[a-z0-9_]+)+", identifier)
    ]
    assert [] == [
        check.title for check in CHECKS if not check.title or check.title != check.title.strip()
    ]


def test_the_ids_do_not_change() -> None:
    assert IDS == NAMES.split()


STATES = {
    "not configured": (
        delegation(DEFAULT, realized=DEFAULT, configured=DEFAULT),
        FixableBy.ADMINISTRATOR,
        "daemon-reload",
    ),
    "configured": (delegation(DEFAULT, realized=DEFAULT), FixableBy.USER, "k3s-rootless up"),
    "realized": (delegation(DEFAULT), FixableBy.USER, "systemctl --user daemon-reexec"),
    "effective": (delegation(), None, ""),
}


@pytest.mark.parametrize("state", STATES)
def test_each_state_of_delegation_has_its_verdict_and_remedy(state: str) -> None:
    """Seen step by step on systemd 257: three states look the same if only one file is read."""
    reach, fixable_by, command = STATES[state]

    found = answer(facts(delegation=reach), "cgroup.delegation.cpuset")

    assert found.verdict is (Verdict.FAIL if fixable_by else Verdict.PASS)
    assert (found.remedy.fixable_by if found.remedy else None) is fixable_by
    assert command in "\n".join(found.remedy.commands if found.remedy else ())


def test_each_state_of_delegation_has_its_own_text() -> None:
    observed = {
        answer(facts(delegation=reach), "cgroup.delegation.cpuset").observed
        for reach, _, _ in STATES.values()
    }

    assert {
        "not delegated",
        "configured, not realized",
        "realized, not effective",
        "delegated",
    } == observed


def test_the_controllers_of_a_unit_determine_the_verdict() -> None:
    none: frozenset[str] = frozenset()

    assert (
        answer(
            facts(delegation=delegation(FIVE, realized=none, configured=none)),
            "cgroup.delegation.cpu",
        ).verdict
        is Verdict.PASS
    )
    unread = Delegation(Known(FIVE), Known(FIVE), Known(FIVE), Unknown("there is no user manager"))
    assert answer(facts(delegation=unread), "cgroup.delegation.cpu").verdict is Verdict.UNKNOWN


def test_a_controller_that_the_unit_lacks_fails_even_if_the_cause_is_unknown() -> None:
    blind = Delegation(Unknown("no"), Unknown("no"), Unknown("no"), Known(DEFAULT))

    assert answer(facts(delegation=blind), "cgroup.delegation.cpuset").verdict is Verdict.FAIL


PLAIN = {"uid", "gid", "user", "machine", "systemd_booted", "runtime", "distribution", "server"}


@pytest.mark.parametrize("field", sorted({field.name for field in fields(Facts)} - PLAIN))
def test_a_fact_that_could_not_be_read_gives_unknown(field: str) -> None:
    dark = Unknown("it is dark")
    unseen = {
        "delegation": Delegation(dark, dark, dark, dark),
        "sysctls": dict.fromkeys(HEALTHY.sysctls, dark),
        "k3s": K3sBinary("/usr/local/bin/k3s", executable=True, version=dark),
    }

    changed = [
        finding
        for finding, before in zip(
            judge(facts(**{field: unseen.get(field, dark)})), judge(HEALTHY), strict=True
        )
        if finding != before
    ]

    assert changed
    for finding in changed:
        assert finding.verdict is (
            Verdict.FAIL if finding.check in UNKNOWN_FAILS else Verdict.UNKNOWN
        )
        assert "it is dark" in finding.reason


@pytest.mark.thorough
@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(any_facts())
def test_every_failure_on_any_host_has_a_reason_and_a_remedy(host: Facts) -> None:
    findings = judge(host)

    assert IDS == [finding.check for finding in findings]
    for finding in findings:
        negative = finding.verdict in {Verdict.FAIL, Verdict.WARN}
        assert (finding.remedy is not None) == negative or finding.verdict is Verdict.INFO
        assert not (finding.verdict is Verdict.FAIL and finding.severity is not Severity.FATAL)
        assert not (finding.verdict is Verdict.WARN and finding.severity is Severity.INFORMATIVE)
        assert bool(finding.reason) == (finding.verdict is not Verdict.PASS)
        assert finding.remedy is None or finding.remedy.text


def test_a_shell_can_parse_every_command_of_every_remedy() -> None:
    strange = facts(user="o'brien $(reboot)", subuid=Known(()), subgid=Known((SubidRange(1, 1),)))
    hosts = [*(row.host for row in ROWS), strange]
    commands = {
        c
        for host in hosts
        for finding in judge(host)
        if finding.remedy
        for c in finding.remedy.commands
    }

    assert len(commands) > 15
    assert [] == [
        command for command in commands if not command.isprintable() or command != command.strip()
    ]
    for command in commands:
        checked = subprocess.run(
            ["bash", "-n", "-c", command], capture_output=True, text=True, check=False
        )
        assert (0, "") == (checked.returncode, checked.stderr), command


def test_the_limit_of_user_namespaces_and_a_ban_have_different_remedies() -> None:
    limit = answer(facts(trial=Known(replace(TRIED, user=errno.ENOSPC))), "userns.create")
    ban = answer(facts(trial=Known(replace(TRIED, user=errno.EPERM))), "userns.create")

    assert (
        "ENOSPC (user namespace)",
        "EPERM (user namespace)",
    ) == (limit.observed, ban.observed)
    assert limit.remedy != ban.remedy


def test_the_remedy_for_a_hybrid_host_is_to_boot_with_cgroup_v2_only() -> None:
    found = answer(facts(cgroup=Known(CgroupMode.HYBRID)), "cgroup.v2")

    assert found.remedy is not None
    assert "systemd.unified_cgroup_hierarchy=1" in found.remedy.text


@pytest.mark.parametrize("row", [row for row in ROWS if row.check.startswith("net.port.")], ids=str)
def test_no_remedy_stops_a_program_of_another_user(row: Row) -> None:
    (finding,) = (one for one in judge(row.host) if one.check == row.check)
    foreign = isinstance(row.host.sockets, Known) and any(
        port.foreign for port in row.host.sockets.value
    )

    if finding.remedy is not None:
        text = f"{finding.remedy.text} {' '.join(finding.remedy.commands)}"
        assert foreign != ("stop " in text)
        assert foreign == ("k3s-rootless config set" in text)
