"""Tests of `check` as a whole.

The last lines have the checked and ignored checks, and the next step.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import as_user

PROJECT = Path(__file__).parents[2]


def last_lines(home: Path, *words: str) -> tuple[int, str]:
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "check", *words]
    run = subprocess.run(
        command,
        cwd=PROJECT,
        env=environment(home, home / "none"),
        capture_output=True,
        text=True,
        check=False,
    )
    return run.returncode, run.stdout.rpartition("\n\n")[2] if "--json" not in words else run.stdout


def test_a_few_checks_are_not_the_whole_host(home: Path) -> None:
    whole = json.loads(last_lines(home, "--json")[1])
    passed = next(one["check"] for one in whole["checks"] if one["verdict"] == "pass")

    assert whole["complete"] is True
    assert (0, "passed; the other checks were not run\nnext: k3s-rootless check\n") == last_lines(
        home, passed
    )
    assert json.loads(last_lines(home, passed, "--json")[1])["complete"] is False


def test_what_was_ignored_is_named_and_ignored_by_what_comes_next(home: Path) -> None:
    """This user has no session, so at least that check fails here."""
    whole = json.loads(last_lines(home, "--json")[1])
    grave = [
        one["check"]
        for one in whole["checks"]
        if one["verdict"] == "fail" or one["verdict"] == "unknown"
    ]
    groups = sorted({name.partition(".")[0] for name in grave})

    code, said = last_lines(
        home, *(word for name in groups for word in ("--ignore", name)), "--ignore", "env"
    )

    assert 0 == code
    assert said.startswith("ready, ")
    assert "apart from what you ignored: " in said
    assert all(one["check"] in said for one in whole["checks"] if one["verdict"] == "fail")
    assert any(f"next: k3s-rootless up --ignore {name}" in said for name in groups)
    assert "--ignore env" not in said or "env" in groups
