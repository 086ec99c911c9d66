"""Tests of the probe for the ipset that K3s uses."""

from __future__ import annotations

from pathlib import Path

from k3s_rootless.observation import Known
from k3s_rootless.preflight.probes import kernel
from tests.preflight.trees import program

SEARCH = "/usr/sbin:relative:/usr/bin"


def test_before_the_first_start_nothing_is_known_to_be_missing(tmp_path: Path) -> None:
    unpacked = tmp_path / "data/current/bin"

    assert Known("", str(unpacked)) == kernel.ipset(tmp_path, unpacked, SEARCH)


def test_k3s_uses_its_own_before_that_of_the_host(tmp_path: Path) -> None:
    unpacked = tmp_path / "data/current/bin"
    unpacked.mkdir(parents=True)
    found = kernel.ipset(tmp_path, unpacked, SEARCH)
    assert isinstance(found, Known)
    assert found.value is None

    of_host = program(tmp_path / "usr/sbin/ipset")
    found = kernel.ipset(tmp_path, unpacked, SEARCH)
    assert isinstance(found, Known)
    assert str(of_host) == found.value

    own = program(unpacked / "ipset")
    assert Known(str(own), str(unpacked)) == kernel.ipset(tmp_path, unpacked, SEARCH)


def test_a_file_that_cannot_be_executed_is_none(tmp_path: Path) -> None:
    unpacked = tmp_path / "data/current/bin"
    program(unpacked / "ipset", 0o644)

    found = kernel.ipset(tmp_path, unpacked, SEARCH)

    assert isinstance(found, Known)
    assert found.value is None
