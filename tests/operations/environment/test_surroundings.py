"""Tests that values are judged by the release, networks in use, directories and each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.k3s import version
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.environment import surroundings
from k3s_rootless.service.environment.variables import Effect, Judgement, Network, Surroundings
from tests.fakes.managed_host import ManagedHost

CIDR, COPY_UP = "K3S_ROOTLESS_CIDR", "K3S_ROOTLESS_COPYUPDIRS"


def test_the_networks_of_the_cluster_are_those_of_its_settings(host: ManagedHost) -> None:
    host.install(
        "[Service]\nExecStart=/usr/local/bin/k3s server --rootless"
        " --cluster-cidr=10.52.0.0/16,fd00::/56 --service-cidr=10.53.0.0/16\n"
    )

    seen, around = surroundings.read(host.context)

    assert "10.52.0.0/16,fd00::/56" in seen.state.argv[-2]
    assert {Network("10.52.0.0/16", "Pods"), Network("10.53.0.0/16", "Services")} <= {
        *around.networks
    }
    assert all(":" not in network.text for network in around.networks)


def test_the_networks_of_this_host_are_known(host: ManagedHost) -> None:
    _, around = surroundings.read(host.context)

    owners = {network.owner for network in around.networks} - {"Pods", "Services"}
    assert all(owner.endswith("this host") for owner in owners)


def test_directories_are_relative_to_the_home_directory(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "file").touch()
    values = {COPY_UP: f"there,gone,file,file/below,{'n' * 300}"}

    found = surroundings.alone(values, tmp_path).directories

    known = {name: one.value for name, one in found.items() if isinstance(one, Known)}
    assert {"there": True, "gone": False, "file": False, "file/below": False} == known
    assert isinstance(found["n" * 300], Unknown)
    assert {} == surroundings.alone({}, tmp_path).directories


@pytest.mark.parametrize(
    ("name", "value", "effect", "reason"),
    [
        ("K3S_ROOTLESS_MTU", None, Effect.USED, ""),
        ("K3S_ROOTLESS_MTU", "", Effect.USED, ""),
        ("K3S_ROOTLESS_MTU", "-1", Effect.FATAL, "negative"),
        ("_K3S_ROOTLESS_SOCK", "/x", Effect.FATAL, "K3s does not start"),
        ("K3S_ROOTLESS_PORTDRIVER", None, Effect.UNREAD, "did you mean"),
        ("k3s_rootless_mtu", "1", Effect.UNREAD, "its name is K3S_ROOTLESS_MTU"),
    ],
)
def test_each_name_is_judged(name: str, value: str | None, effect: Effect, reason: str) -> None:
    found = surroundings.judged(name, value, Surroundings())

    assert effect is found.effect
    assert reason in found.reason


def test_the_default_network_is_judged_if_none_is_set() -> None:
    around = Surroundings(networks=(Network("10.41.7.0/24", "eth0 of this host"),))

    for value in (None, ""):
        (warning,) = surroundings.judged(CIDR, value, around).warnings
        assert warning.startswith("10.41.0.0/16 overlaps with 10.41.7.0/24 (eth0")
    assert Judgement() == surroundings.judged(CIDR, "10.42.0.0/24", around)


def test_a_name_in_lower_case_is_judged_like_its_capitals() -> None:
    around = Surroundings(version.parse("v1.33.4+k3s1"))

    found = surroundings.judged("no_proxy", "*.a", around)

    assert "it is used only if NO_PROXY is empty" == found.warnings[0]
    assert surroundings.judged("NO_PROXY", "*.a", around).warnings == found.warnings[1:]
