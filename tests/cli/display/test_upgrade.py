"""Tests of what `upgrade` and `rollback` show."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from k3s_rootless.backup.facts import Kind, Phase, Record, Switch
from k3s_rootless.binaries.facts import Passage
from k3s_rootless.cli.display import release, upgrade
from k3s_rootless.cli.display.report import Report
from k3s_rootless.k3s.changes import Change
from k3s_rootless.operations.backup.adapting import UNCHANGED
from k3s_rootless.operations.backup.transaction import Ended, Outcome
from k3s_rootless.operations.releases.listing import Listing
from k3s_rootless.operations.upgrade.perform import Upgraded
from k3s_rootless.operations.upgrade.plan import Plan
from k3s_rootless.operations.upgrade.resume import Resumed
from k3s_rootless.operations.upgrade.rollback import Loss
from k3s_rootless.operations.upgrade.rollback import Plan as RollbackPlan

BEFORE, AFTER = "v1.31.9+k3s1", "v1.32.3+k3s1"
SWITCH = Switch(BEFORE, AFTER)
NOON = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def plan(**changed: Any) -> Plan:
    """Return a plan."""
    now: Any = SimpleNamespace(text=BEFORE)
    content: dict[str, Any] = {
        "now": now,
        "after": AFTER,
        "switch": SWITCH,
        "changes": (Change("Traefik", "Traefik 3"),),
        "downtime": 61.2,
    }
    return Plan(**{**content, **changed})


def test_a_plan(capsys: pytest.CaptureFixture[str]) -> None:
    upgrade.show_plan(Report(), plan())

    first, change, outage, backup = capsys.readouterr().out.splitlines()
    assert first == f"upgrade K3s from {BEFORE} to {AFTER}"
    assert change == "Traefik: Traefik 3"
    assert outage.startswith(
        "all pods stop; expected downtime: at least 61.2 s, as for the last upgrade"
    )
    assert backup == "a backup is created first; `k3s-rootless rollback` goes back to it"


def test_a_plan_before_an_upgrade_is_progress(capsys: pytest.CaptureFixture[str]) -> None:
    upgrade.announce(Report(), plan(downtime=None, backup=False))

    shown = capsys.readouterr()
    assert "" == shown.out
    assert "the expected downtime is not known" in shown.err
    assert "there is no way back" in shown.err


def test_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = plan(switch=None, reason="K3s is already in use")
    upgrade.show_plan(Report(), nothing)
    upgrade.show_upgraded(Report(), Upgraded(nothing, changed=False))

    assert ["nothing to do: K3s is already in use"] * 2 == capsys.readouterr().out.splitlines()


def test_an_upgrade(capsys: pytest.CaptureFixture[str]) -> None:
    done = Upgraded(plan(), changed=True, downtime=240.4, backup=Path("/b.tar.gz"))
    upgrade.show_upgraded(Report(), done)

    shown = capsys.readouterr().out
    assert f"K3s {AFTER} is ready; downtime: 4 min" in shown
    assert f"to go back to {BEFORE} with its backup (/b.tar.gz), run: k3s-rootless" in shown


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Outcome.FINISHED, f"K3s {AFTER} is ready; downtime: 5.0 s"),
        (Outcome.UNDONE, f"K3s {BEFORE} is in use again"),
        (Outcome.DISCARDED, f"nothing had changed: K3s {BEFORE} is in use"),
    ],
)
def test_an_interrupted_upgrade(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, outcome: Outcome, shown: str
) -> None:
    record = Record(
        Phase.UNDONE, None, (), kind=Kind.UPGRADE, switch=SWITCH, stopped=NOON, failed=tmp_path
    )
    resumed = Resumed(Ended(outcome, record), downtime=5.0)

    upgrade.show_resumed(Report(), resumed)
    assert shown in capsys.readouterr().out
    upgrade.show_resumed(Report(json_for="upgrade"), resumed)
    found = json.loads(capsys.readouterr().out)
    assert (outcome.value, BEFORE, str(tmp_path)) == (
        found["outcome"],
        found["from"],
        found["failed_datastore"],
    )


@pytest.mark.parametrize(
    ("loss", "shown"),
    [
        (Loss(NOON, 0, {}), "nothing was written to the cluster since 2026-11-27 12:00:00 UTC"),
        (
            Loss(NOON, 5, {"pods": 3, "secrets": 1}),
            "is lost: objects that were created or changed: pods (3), secrets (1)",
        ),
        (Loss(NOON, 90, {f"r{number}": 1 for number in range(10)}), ", and 2 other resources"),
        (Loss(NOON, None, {}), "everything that was written to the cluster since"),
    ],
    ids=["nothing", "few", "many", "unknown"],
)
def test_what_a_rollback_loses(capsys: pytest.CaptureFixture[str], loss: Loss, shown: str) -> None:
    now: Any = SimpleNamespace(text=AFTER)
    backup: Any = SimpleNamespace(path=Path("/b.tar.gz"))

    planned = RollbackPlan(now, BEFORE, backup, loss, SWITCH, UNCHANGED)
    upgrade.show_rollback_plan(Report(), planned)

    assert shown in capsys.readouterr().out


def test_the_history(capsys: pytest.CaptureFixture[str]) -> None:
    passages = (
        Passage("upgrade", BEFORE, AFTER, NOON, done=True, downtime=61.2, backup="/b.tar.gz"),
        Passage("upgrade", AFTER, "v1.33.4+k3s1", NOON, done=False),
        Passage("rollback", AFTER, BEFORE, NOON, done=True),
    )
    release.show_list(Report(), Listing((), None, history=passages))
    lines = capsys.readouterr().out.splitlines()

    assert [line.split("  ")[-2].strip() for line in lines[-3:]]
    assert "done, downtime 61 s" in lines[-3]
    assert "undone" in lines[-2]
    assert lines[-1].rstrip().endswith("-")
    release.show_list(Report(), Listing((), None, history=()))
    assert "there was no upgrade and no rollback" in capsys.readouterr().out
