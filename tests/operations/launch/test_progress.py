"""Tests of the progress of a start: a line of a new kind is progress, a repeated one is not."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.launch import progress

INVOCATION = "07" * 16


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            'time="2026-11-27T12:00:00Z" level=error msg="Failed to ping database connection: 1"',
            'time="2026-11-27T12:00:01Z" level=error msg="Failed to ping database connection: 2"',
            True,
        ),
        (
            "I1127 12:00:00.123456    7 kubelet.go:100] pod 3f2a9c is waiting",
            "I1127 12:00:09.123456    8 kubelet.go:100] pod 77aa01 is waiting",
            True,
        ),
        ("Migrating table a", "Migrating table z", False),
    ],
)
def test_kinds_of_lines(one: str, other: str, *, same: bool) -> None:
    assert same == (progress.kind(one) == progress.kind(other))


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that a journalctl prints."""
    program = tmp_path / "bin/journalctl"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {tmp_path / 'journal'}\n")
    program.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path / "journal"


def write(journal: Path, messages: Iterable[str]) -> None:
    """Write the journal of a start."""
    lines = [
        json.dumps({"MESSAGE": one, "_SYSTEMD_INVOCATION_ID": INVOCATION}) + "\n"
        for one in messages
    ]
    journal.with_suffix(".new").write_text("no entry\n" + "".join(lines))
    journal.with_suffix(".new").replace(journal)


def test_a_line_of_a_new_kind_is_progress(journal: Path) -> None:
    context = Context.of()
    write(journal, ["Starting k3s v1.36.3"])
    assert 1 == len(progress.kinds(context, INVOCATION))
    followed = progress.follow(context, INVOCATION, 0.2)
    try:
        until_later(followed.latest, followed.latest())
        before = followed.latest()

        write(journal, ["Starting k3s v1.36.3", "Migrating the datastore"])

        until_later(followed.latest, before)
    finally:
        followed.stop()


def until_later(latest: Callable[[], float], before: float) -> None:
    """Wait until there was progress after a time."""
    deadline = time.monotonic() + 60
    while latest() <= before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
