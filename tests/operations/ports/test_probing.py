"""Tests of which rows are probed, and at which address."""

from __future__ import annotations

from dataclasses import replace

import pytest

from k3s_rootless.operations.ports import probing
from k3s_rootless.ports.facts import Exposure, PortMap
from k3s_rootless.ports.sources.probe import Target
from tests.operations.ports.test_answer import ROW


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROW, True),
        (replace(ROW, parent_ip="0.0.0.0"), True),  # noqa: S104 (compared, not bound)
        (replace(ROW, parent_ip="127.0.0.1"), True),
        (replace(ROW, parent_ip="::1"), True),
        (replace(ROW, parent_ip="192.0.2.7"), False),
        (replace(ROW, forwarded=False), False),
        (replace(ROW, forwarded=None), False),
    ],
)
def test_only_forwards_that_are_reachable_on_loopback_are_probed(
    row: Exposure, *, expected: bool
) -> None:
    assert expected is probing.is_on_loopback(row)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROW, Target("127.0.0.1", 10080, "http")),
        (replace(ROW, parent_ip="::1"), Target("::1", 10080, "http")),
        (replace(ROW, listens_on=("::1",)), Target("::1", 10080, "http")),
        (replace(ROW, listens_on=("::",)), Target("127.0.0.1", 10080, "http")),
        (replace(ROW, url="udp://localhost:10080"), Target("127.0.0.1", 10080, "udp")),
        (replace(ROW, url="unknown://localhost:1"), Target("127.0.0.1", 10080, "tcp")),
    ],
)
def test_a_target_has_a_loopback_address_and_a_protocol(row: Exposure, expected: Target) -> None:
    assert expected == probing.target(row)


def test_without_a_forward_nothing_is_probed() -> None:
    found = PortMap((replace(ROW, forwarded=False),), 0, ())

    assert found is probing.probed(found)
