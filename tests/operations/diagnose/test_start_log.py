"""Tests of the last lines of a start, if journald attributed lines to no start."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.diagnose import start_log
from k3s_rootless.paths import Paths

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
START = "b" * 32
JOURNALCTL = """\
#!{python}
import json, sys
since = [float(word.removeprefix("--since=@")) for word in sys.argv if word.startswith("--since=@")]
for line in open({journal!r}):
    entry = json.loads(line)
    known = "USER_INVOCATION_ID" in entry or "_SYSTEMD_INVOCATION_ID" in entry
    if known if not since else int(entry["__REALTIME_TIMESTAMP"]) >= since[0] * 1e6:
        print(line, end="")
"""


def entry(seconds: float, message: str, **fields: str) -> dict[str, Any]:
    moment = int((BEGAN + timedelta(seconds=seconds)).timestamp() * 1e6)
    return {"__REALTIME_TIMESTAMP": str(moment), "MESSAGE": message, "PRIORITY": "6"} | fields


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Context:
    """Return a context in which journalctl prints the entries of a file, all and in order."""
    program = tmp_path / "journalctl"
    program.write_text(JOURNALCTL.format(python=sys.executable, journal=str(tmp_path / "journal")))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return Context(Paths(tmp_path, tmp_path, tmp_path, tmp_path), {}, os.getuid(), "alice")


def test_a_line_without_an_invocation_before_the_start_belongs_to_the_previous_start(
    context: Context, tmp_path: Path
) -> None:
    systemd = {"SYSLOG_IDENTIFIER": "systemd", "USER_INVOCATION_ID": START}
    entries = [
        entry(
            -2,
            "runtime: failed to create new OS thread (have 5 already; errno=11)",
            SYSLOG_IDENTIFIER="k3s",
        ),
        entry(0, "Starting k3s-rootless.service - k3s (Rootless)...", **systemd),
        entry(
            0.2,
            "k3s-rootless.service: Main process exited, code=exited, status=208/STDIN",
            **systemd,
        ),
    ]
    (tmp_path / "journal").write_text("".join(f"{json.dumps(one)}\n" for one in entries))
    ended = BEGAN + timedelta(seconds=0.3)

    found = start_log.read(context, START, ready=False, ended=ended)

    assert found.cause is None or "tasks" not in found.cause.id
    for seconds in (-0.3, 0.1):
        own = entry(
            seconds,
            "runtime: failed to create new OS thread (have 5 already; errno=11)",
            SYSLOG_IDENTIFIER="k3s",
        )
        lines = sorted((*entries, own), key=lambda one: one["__REALTIME_TIMESTAMP"])
        (tmp_path / "journal").write_text("".join(f"{json.dumps(one)}\n" for one in lines[1:]))
        found = start_log.read(context, START, ready=False, ended=ended)
        assert found.cause is not None
        assert "unit-tasks-limit" == found.cause.id
