"""Tests that systemd's exit statuses are reported by systemd's own names."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from k3s_rootless.journal import exits, verdict
from k3s_rootless.journal.facts import Ending


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_the_names_of_exit_statuses_match_systemd() -> None:
    """The statuses of the installed systemd; an older one lacks some, and 234 was never used."""
    output = subprocess.run(
        ["systemd-analyze", "exit-status"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split() for line in output.splitlines()[1:]]
    names = {
        int(status): name for name, status, kind in rows if kind == "systemd" and status != "255"
    }

    assert len(names) > 30
    assert names == {
        status: name for status, (name, _) in exits.STEPS.items() if status <= max(names)
    }


@pytest.mark.parametrize("status", exits.STEPS)
def test_each_status_is_a_cause_with_a_remedy(status: int) -> None:
    found = verdict.of_ending(
        Ending("loaded", "failed", "failed", "exit-code", code=1, status=status)
    )

    assert found is not None
    assert exits.identifier(status) == found.id
    assert f"{status}/{exits.STEPS[status][0]}" in found.title
    assert found.remedy is not None
    assert found.why


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        (0, 0, "start-limit"),
        (1, 1, "start-limit"),
        (2, 15, "start-limit"),
        (1, 203, "exec-failed"),
        (2, 9, "killed"),
    ],
)
def test_the_start_limit_is_the_cause_if_the_exit_status_names_none(
    code: int, status: int, expected: str
) -> None:
    found = verdict.of_ending(
        Ending("loaded", "failed", "failed", "start-limit-hit", code=code, status=status)
    )

    assert found is not None
    assert expected == found.id
