"""Tests of `df` as users run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import PROJECT, as_user

pytestmark = pytest.mark.thorough


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**environment(home, None), "XDG_DATA_HOME": str(home / "share")}
    return subprocess.run(
        [*as_user(USER), sys.executable, "-m", "k3s_rootless", "df", *arguments],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_parts_are_shown_with_their_commands(home: Path) -> None:
    backups = home / "share/k3s-rootless/backups"
    backups.mkdir(parents=True)
    (backups / "a.tar.gz").write_bytes(os.urandom(2_000_000))

    done = run(home)
    document = json.loads(run(home, "--json").stdout)

    assert (0, "") == (done.returncode, done.stderr)
    assert f"1.9 MiB   rm {backups}/FILE" in done.stdout
    assert "are free on the file system of" in done.stdout
    (part,) = (one for one in document["parts"] if one["name"] == "backups")
    assert 2_000_000 <= part["bytes"] < 2_100_000
    assert "k3s-rootless/df/v1" == document["schema"]
