"""Tests of the root trees of Debian releases: their source, and that each is built once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.debian import apt, releases, trees
from tests.lab.driver import Lab
from tests.machine import MachineError

pytestmark = pytest.mark.lab


@pytest.mark.parametrize("name", releases.NAMES)
def test_sources_are_the_hosts_own_with_another_name(name: str) -> None:
    own = apt.sources(apt.own_release()).splitlines()
    other = apt.sources(name).splitlines()

    assert [line.split()[:-2] for line in own] == [line.split()[:-2] for line in other]
    assert all(line.split()[-2].partition("-")[0] == name for line in other)


def test_only_borrowed_packages_come_from_the_other_release() -> None:
    assert "" == releases.find("trixie").preferences()
    stanzas = releases.find("bookworm").preferences().strip().split("\n\n")
    assert [
        ["Package: *", "Pin: release n=trixie*", "Pin-Priority: -1"],
        ["Package: src:rootlesskit", "Pin: release n=trixie*", "Pin-Priority: 1001"],
    ] == [stanza.splitlines() for stanza in stanzas]


def test_the_error_for_an_unknown_release_lists_the_known_releases() -> None:
    with pytest.raises(MachineError, match="bullseye, bookworm, trixie, forky"):
        releases.find("buster")


def test_a_tree_is_built_once_and_lists_its_packages(
    any_systemd: Lab, request: pytest.FixtureRequest
) -> None:
    root = trees.tree(request.node.callspec.params["any_systemd"])
    if root == Path("/"):
        assert apt.own_release() in request.node.name
        return
    packages = dict(
        line.split("\t") for line in (root.parent / "packages").read_text().splitlines()
    )
    assert packages["systemd"].startswith(str(any_systemd.systemd))
    assert packages["rootlesskit"].startswith("2.")
    assert (
        any_systemd.user("cat", "/etc/debian_version").stdout
        == (root / "etc/debian_version").read_text()
    )
