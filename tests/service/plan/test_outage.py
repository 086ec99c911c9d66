from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.service.facts import UnitSettings, UnitState
from k3s_rootless.service.plan import outage
from k3s_rootless.service.plan.steps import (
    ClearState,
    Enable,
    ResetFailed,
    Restart,
    Start,
    Step,
    Stop,
    WriteDropIn,
    WriteUnit,
)
from k3s_rootless.service.unit import text

UNIT = "k3s-rootless.service"
RUNS = UnitState(UNIT, "loaded", "active", "running")
WAITS = UnitState(UNIT, "loaded", "activating", "auto-restart")
RESTART = Restart(UNIT, "the running K3s was started before its unit was written")
WRITE = WriteDropIn(Path("/d/50.conf"), "", "the unit that it is based on changed")


def written_for(release: str) -> str:
    return text.render(UnitSettings(release, "server", "/usr/local/bin/k3s", "/usr/bin"))


@pytest.mark.parametrize(
    ("before", "after", "words", "downgrade"),
    [
        (
            "v1.33.4+k3s1",
            "v1.34.1+k3s1",
            "for the upgrade from v1.33.4+k3s1 to v1.34.1+k3s1",
            False,
        ),
        (
            "v1.34.1+k3s2",
            "v1.34.1+k3s1",
            "for the downgrade from v1.34.1+k3s2 to v1.34.1+k3s1",
            True,
        ),
        (
            "v1.34.1+k3s1",
            "v1.34.1+k3s1",
            "all pods stop: the unit that it is based on changed",
            False,
        ),
    ],
)
def test_a_restart_is_described_with_its_change(
    before: str, after: str, words: str, downgrade: object
) -> None:
    found = outage.of((WRITE, RESTART), RUNS, written_for(before), after)

    assert found is not None
    assert words in found.describe()
    assert "all pods stop" in found.describe()
    assert ("may not be able to read the datastore" in found.describe()) is downgrade
    assert found.document()["downgrade"] is downgrade


def test_a_unit_that_names_no_release_is_neither_upgraded_nor_downgraded() -> None:
    found = outage.of((RESTART,), RUNS, "[Service]\n", "v1.34.1+k3s1")

    assert found is not None
    assert f"K3s must restart, and all pods stop: {RESTART.cause}" == found.describe()
    assert {
        "cause": RESTART.cause,
        "from": None,
        "to": "v1.34.1+k3s1",
        "downgrade": False,
    } == found.document()


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        ((), RUNS),
        (
            (
                WriteUnit(Path("/u"), "", "the unit file does not exist"),
                Enable(UNIT, ""),
                Start(UNIT, ""),
            ),
            UnitState(UNIT, "", "", ""),
        ),
        ((ResetFailed(UNIT, ""), Restart(UNIT, "")), WAITS),
        (
            (ResetFailed(UNIT, ""), Stop(UNIT, ""), ClearState((Path("/s"),), ""), Start(UNIT, "")),
            WAITS,
        ),
    ],
)
def test_steps_that_stop_no_running_k3s_cause_no_outage(
    steps: tuple[Step, ...], state: UnitState
) -> None:
    assert outage.of(steps, state, None, "v1.34.1+k3s1") is None


def test_a_stop_and_a_start_are_a_restart() -> None:
    assert (
        outage.of((Stop(UNIT, "its certificates are renewed"), Start(UNIT, "")), RUNS, None, "v1")
        is not None
    )
