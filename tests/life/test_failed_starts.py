"""A start that fails is told of at once, with its first cause and its exit code, in each way that there is."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import pytest

from tests.lab.fixtures import fresh
from tests.life.causes import order
from tests.life.conftest import Tool
from tests.life.ways import WAYS, Way, run
from tests.machine import Machine

pytestmark = pytest.mark.lab
PROMISED = 0.25
"""Seconds from systemd's word to ours, in the median: a machine that does other things as well may be late once."""
EACH = 2.0
late: dict[str, float] = {}


@pytest.fixture(scope="module")
def installed(lab: Machine) -> Iterator[Tool]:
    """Give a K3s that came up once, and fails from then on."""
    fresh(lab)
    lab.root("sysctl", "-w", "net.ipv4.ip_forward=1")
    tool = Tool(lab)
    order()(tool)
    tool.up().check_returncode()
    yield tool
    fresh(lab)


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.id)
def test_a_start_that_fails_is_told_of_at_once(installed: Tool, way: Way) -> None:
    found = run(installed, way)

    assert way.code == found.code, found.document
    error = found.error
    assert way.code == error["exit_code"]
    assert way.cause is None or way.cause == error.get("cause"), error
    assert way.phase is None or way.phase == error.get("phase"), error
    assert way.words in error["message"]
    assert error["hint"]
    if way.truth is not None:
        assert found.late is not None, found.events
        assert found.late < EACH
        late[way.id] = found.late


def test_a_death_is_told_within_a_quarter_of_a_second() -> None:
    if not late:
        pytest.skip("no start was failed in this run")
    assert statistics.median(late.values()) < PROMISED, late
