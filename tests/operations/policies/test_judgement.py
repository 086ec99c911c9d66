"""Tests of the state of K3s's controller for NetworkPolicies."""

from __future__ import annotations

import pytest

from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.policies.judgement import Observations, State, judge

_SKIPPED = (
    'time="2026-11-27T16:15:47Z" level=warning msg="Skipping network policy controller start, ipset'
    ' unavailable: ipset utility not found"'
)
_STARTED = 'level=info msg="Starting network policy controller version v2.6.3-k3s1, built on x"'
_NO, _NONE, _SILENT = Known(value=False), Known(0), Known("")
_NO_IPSET = Unknown("`ipset save` failed with status 1: Kernel error received: Invalid argument")


def seen(
    *,
    disabled: str = "",
    leads: Observed[bool] = _NO,
    sets: Observed[int] = _NONE,
    logged: Observed[str] = _SILENT,
) -> Observations:
    return Observations(disabled, leads, sets, logged)


@pytest.mark.parametrize(
    ("observed", "state", "reason"),
    [
        (seen(leads=Known(value=True)), State.RUNNING, "leads to KUBE-ROUTER-FORWARD"),
        # Rules of the controller are there, whatever an old line of the log says.
        (seen(leads=Known(value=True), logged=Known(_SKIPPED)), State.RUNNING, "leads to"),
        (
            seen(disabled="disable-network-policy (command line)"),
            State.DISABLED,
            "K3s runs with disable-network-policy (command line)",
        ),
        (
            seen(logged=Known(_SKIPPED)),
            State.NOT_RUNNING,
            "ipset unavailable: ipset utility not found",
        ),
        (
            seen(leads=Unknown("no iptables"), logged=Known(_SKIPPED)),
            State.NOT_RUNNING,
            "ipset unavailable",
        ),
        (seen(sets=_NO_IPSET), State.NOT_RUNNING, "Kernel error received"),
        (seen(sets=_NO_IPSET, logged=Known(_STARTED)), State.NOT_RUNNING, "Kernel error"),
        (seen(), State.NOT_RUNNING, "no line about it"),
        (seen(logged=Known(_STARTED)), State.NOT_RUNNING, "Starting network policy controller"),
        (seen(logged=Unknown("no journal")), State.NOT_RUNNING, "no journal"),
        (seen(leads=Unknown("no iptables")), State.UNKNOWN, "no iptables"),
    ],
)
def test_the_state_follows_from_the_observations(
    observed: Observations, state: State, reason: str
) -> None:
    found = judge(observed)

    assert state is found.state
    assert reason in found.reason
    assert not found.reason.endswith('"')
