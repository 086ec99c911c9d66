"""Tests of `check` as a whole.

The last lines have the checked and ignored checks, and the next step.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import as_user

pytestmark = pytest.mark.thorough

PROJECT = Path(__file__).parents[2]


def last_lines(home: Path, *arguments: str) -> tuple[int, str]:
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "check", *arguments]
    run = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment(home, home / "none"),
        capture_output=True,
        text=True,
        check=False,
    )
    if "--json" in arguments:
        return run.returncode, run.stdout
    return run.returncode, run.stdout.rpartition("\n\n")[2]


def test_selected_checks_are_not_all_checks(home: Path) -> None:
    whole = json.loads(last_lines(home, "--json")[1])
    passed = next(one["check"] for one in whole["checks"] if one["verdict"] == "pass")

    assert whole["complete"] is True
    assert (
        0,
        "the selected checks passed; the other checks were not run\nnext: k3s-rootless check\n",
    ) == last_lines(home, passed)
    assert json.loads(last_lines(home, passed, "--json")[1])["complete"] is False


def test_ignored_checks_are_named_and_repeated_in_the_next_command(home: Path) -> None:
    """This user has no session, so at least that check fails here."""
    whole = json.loads(last_lines(home, "--json")[1])
    grave = [
        one["check"]
        for one in whole["checks"]
        if one["verdict"] == "fail" or one["verdict"] == "unknown"
    ]
    groups = sorted({name.partition(".")[0] for name in grave})

    code, text = last_lines(
        home, *(argument for name in groups for argument in ("--ignore", name)), "--ignore", "env"
    )

    assert 0 == code
    assert text.startswith("this host is ready for rootless K3s")
    assert "; ignored: " in text
    assert all(one["check"] in text for one in whole["checks"] if one["verdict"] == "fail")
    assert any(f"next: k3s-rootless up --ignore {name}" in text for name in groups)
    assert "--ignore env" not in text or "env" in groups
