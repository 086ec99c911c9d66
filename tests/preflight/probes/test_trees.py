"""Tests of what `check` finds on hosts of fifteen kinds.

The probes read trees of the files of these hosts.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.finding import FixableBy, Verdict
from k3s_rootless.k3s.unit_path import unit_search
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.preflight.facts import Delegation, Facts
from k3s_rootless.preflight.probes import apparmor, gpu, kernel, network, session, subids
from k3s_rootless.preflight.probes.host import (
    distribution,
    map_program,
    sysctls,
    systemd_booted,
)
from k3s_rootless.preflight.records import Confinement
from k3s_rootless.preflight.remedies import admin_script, nixos
from tests.preflight.trees import HOSTS, Host, plant
from tests.strategies import HEALTHY

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="newuidmap of a tree must belong to root")


def facts(host: Host, root: Path) -> Facts:
    """Read a tree as `check` does.

    Facts that no tree can hold (the bus, cgroups, sockets, a trial) are those of a healthy host.
    """
    search = unit_search(root)
    given = frozenset(host.delegated.split())
    confined = apparmor.confinement(root, None)
    if host.label and isinstance(confined, Known):
        confined = Known(Confinement(confined.value.restricted, Known(host.label)), confined.source)
    machine = session.machine(root, None)
    assert isinstance(machine, Known)
    return replace(
        HEALTHY,
        user_manager=Known(host.systemd, "the user bus")
        if host.booted
        else Unknown("there is no bus"),
        cgroup=Known(host.cgroup),
        delegation=Delegation(
            Known(frozenset(host.offered.split())), Known(given), Known(given), Known(given)
        ),
        systemd_booted=systemd_booted(root),
        distribution=distribution(root),
        sysctls=sysctls(root),
        confinement=confined,
        newuidmap=map_program("newuidmap", search, root),
        newgidmap=map_program("newgidmap", search, root),
        subuid=subids.of_user("subuid", root, "alice", 1000),
        subgid=subids.of_user("subgid", root, "alice", 1000),
        subid_files=subids.of_all(root, "alice", 1000),
        process=session.process(root, (), ""),
        kernel=kernel.release(root),
        modules=kernel.modules(root),
        devices=kernel.opened(root),
        programs=kernel.programs(root, search),
        resolver=network.resolver(root),
        gpu=gpu.gpu(root, search),
        surroundings=session.surroundings(root, "/etc/rancher/k3s/config.yaml"),
        # The clock is that of the machine that runs the tests.
        host=Known(
            replace(machine.value, synchronized=True, early="", processors=4), machine.source
        ),
    )


@pytest.mark.parametrize("name", HOSTS)
def test_each_kind_of_host_has_exactly_its_verdicts(name: str, tmp_path: Path) -> None:
    host = HOSTS[name]

    found = checklist.judge(facts(host, plant(name, tmp_path)))

    assert {
        one.check: one.verdict.value for one in found if one.verdict is not Verdict.PASS
    } == dict(host.verdicts)


@pytest.mark.parametrize("name", [name for name, host in HOSTS.items() if host.booted])
def test_each_failure_has_a_remedy(name: str, tmp_path: Path) -> None:
    for one in checklist.judge(facts(HOSTS[name], plant(name, tmp_path))):
        if one.verdict is Verdict.FAIL:
            assert one.remedy
            assert one.remedy.fixable_by is not FixableBy.NONE


def test_each_host_names_its_source() -> None:
    assert all(host.provenance for host in HOSTS.values())
    assert len(HOSTS) >= 15


@pytest.mark.parametrize(
    ("name", "check", "command"),
    [
        ("Debian 13", "uidmap.newuidmap", "sudo apt-get install uidmap"),
        ("Debian 13", "snapshotter.mount_fuse3", "sudo apt-get install fuse3"),
        ("Arch", "snapshotter.mount_fuse3", "sudo pacman -S fuse3"),
        (
            "Ubuntu 24.04",
            "userns.apparmor",
            "sudo apparmor_parser -r /etc/apparmor.d/k3s-rootless.usr.local.bin.k3s",
        ),
        ("RHEL 9", "kernel.br_netfilter", "sudo modprobe -a br_netfilter"),
    ],
)
def test_the_remedy_has_the_commands_of_the_distribution(
    name: str, check: str, command: str, tmp_path: Path
) -> None:
    found = {one.check: one for one in checklist.judge(facts(HOSTS[name], plant(name, tmp_path)))}[
        check
    ]

    assert found.remedy
    assert command in found.remedy.commands


def test_the_remedy_on_a_raspberry_pi_is_a_boot_argument(tmp_path: Path) -> None:
    found = {
        one.check: one
        for one in checklist.judge(
            facts(HOSTS["Raspberry Pi OS"], plant("Raspberry Pi OS", tmp_path))
        )
    }

    memory = found["cgroup.delegation.memory"].remedy
    assert memory
    assert "cgroup_enable=memory" in memory.text


def test_a_label_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    host = replace(HOSTS["Ubuntu 24.04"], label="")

    found = {one.check: one for one in checklist.judge(facts(host, host.plant(tmp_path)))}[
        "userns.apparmor"
    ]

    assert found.verdict is Verdict.UNKNOWN
    assert isinstance(facts(host, tmp_path).confinement, Known | Unknown)


@pytest.mark.thorough
@pytest.mark.parametrize("name", HOSTS)
def test_the_script_for_each_host_is_valid_and_covers_its_failures(
    name: str, tmp_path: Path
) -> None:
    seen = facts(HOSTS[name], plant(name, tmp_path))
    wrong = [one for one in checklist.judge(seen) if one.verdict in {Verdict.FAIL, Verdict.WARN}]
    here = admin_script.Host(seen.user, seen.uid, seen.distribution, "1.2.3")
    remedies = admin_script.administrator_remedies(wrong)

    text = (
        nixos.render(remedies, here.user)
        if here.family == "nixos"
        else admin_script.render(wrong, here)
    )

    checked = subprocess.run(
        ["shellcheck", "--shell=sh", "-"], input=text, text=True, capture_output=True, check=False
    )
    assert "" == checked.stdout
    assert all(
        remedy.measures or f"manual step: {remedy.text}"[:100] in text for remedy in remedies
    )
