"""Tests that a K3s without its agent does not need what only the agent needs."""

from __future__ import annotations

from dataclasses import replace

from k3s_rootless.finding import Verdict
from k3s_rootless.observation import Unknown
from k3s_rootless.preflight.checks import agentless, checklist
from tests import server
from tests.strategies import facts

WITHOUT = facts(
    server=server.settings(flags=("--disable-agent",)),
    devices=Unknown("not read"),
)


def test_what_only_the_agent_needs_is_no_problem() -> None:
    with_agent = replace(WITHOUT, server=server.settings())
    before = {one.check: one for one in checklist.judge(with_agent)}
    after = {one.check: one for one in checklist.judge(WITHOUT)}

    assert Verdict.UNKNOWN is before["device.tun"].verdict
    assert Verdict.INFO is after["device.tun"].verdict
    assert "not needed" in after["device.tun"].reason
    assert after["device.tun"].remedy is None


def test_other_checks_are_unchanged() -> None:
    finding = next(one for one in checklist.judge(WITHOUT) if one.check == "k3s.version")

    assert finding == agentless.relaxed(finding)
    failed = replace(finding, verdict=Verdict.FAIL)
    assert failed == agentless.relaxed(failed)


def test_each_named_check_exists() -> None:
    groups = {check.id for check in checklist.CHECKS}

    for name in agentless.OF_THE_AGENT:
        assert any(one == name or one.startswith(f"{name}.") for one in groups), name
