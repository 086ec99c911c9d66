"""Tests of the start that a log belongs to, and of the order of restarts."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.diagnose import history
from k3s_rootless.paths import UNIT, Paths
from k3s_rootless.service.facts import UnitState

OLD, NEW = "a" * 32, "b" * 32
FATAL = 'level=fatal msg="failed to find cpuset cgroup (v2)"'
KILLED = f"{UNIT}: Main process exited, code=killed, status=9/KILL"
JOURNALCTL = """#!/bin/sh
echo "$*" >> {place}/calls
case "$*" in
*MESSAGE_ID=5eb03494b6584870a536b337290809b3*) cat {place}/restarts;;
*MESSAGE_ID=*) cat {place}/starts;;
*_SYSTEMD_INVOCATION_ID={old}*) cat {place}/old;;
*_SYSTEMD_INVOCATION_ID={new}*) cat {place}/new;;
*) cat {place}/old {place}/new;;
esac
echo "no entry"
"""


class Journal:
    """Context with a journalctl that prints files: output of two starts, and lines of systemd."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.context = Context(Paths(place, place, place, place), {}, os.getuid(), "alice")
        program = place / "journalctl"
        program.write_text(JOURNALCTL.format(place=place, old=OLD, new=NEW))
        program.chmod(0o755)
        for name in ("restarts", "starts", "old", "new"):
            self.write(name)

    def write(self, name: str, *lines: tuple[str, float], invocation: str = OLD) -> None:
        """Write lines of systemd to a file, with their ages in seconds."""
        entries = (
            {
                "MESSAGE": text,
                "SYSLOG_IDENTIFIER": "k3s" if "level=" in text else "systemd",
                "USER_INVOCATION_ID": invocation,
                "__REALTIME_TIMESTAMP": str(int((time.time() - age) * 1e6)),
            }
            for text, age in lines
        )
        (self.place / name).write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))

    def restarted(self, *ages: float) -> None:
        """Write restarts of the old start by systemd, with their ages in seconds."""
        self.write("restarts", *((f"{UNIT}: Scheduled restart job", age) for age in ages))

    def calls(self) -> int:
        """Return the number of runs of journalctl."""
        return len((self.place / "calls").read_text().splitlines())


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Journal:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return Journal(tmp_path)


def state(
    active: str = "active", sub: str = "running", age: float = 5, restarts: int = 0
) -> UnitState:
    since = datetime.now(UTC) - timedelta(seconds=age)
    return UnitState(
        UNIT,
        "loaded",
        active,
        sub,
        invocation=NEW,
        restarts=restarts,
        started=since,
        changed=since,
        ended=since,
    )


def test_the_cause_is_that_of_the_last_start(journal: Journal) -> None:
    journal.write("old", (KILLED, 100))
    journal.write("new", (FATAL, 4), invocation=NEW)

    found = history.of(journal.context, state("failed", "failed", 300), None, ready=False)

    assert found.cause is not None
    assert ("cgroup-controller", False, NEW) == (
        found.cause.id,
        found.cause.earlier,
        found.invocation,
    )


def test_a_start_without_a_cause_follows_the_failure_of_another(journal: Journal) -> None:
    journal.write("old", (KILLED, 6))
    journal.restarted(5)

    found = history.of(journal.context, state(restarts=1), None, ready=False)

    assert found.cause is not None
    assert ("killed", True) == (found.cause.id, found.cause.earlier)


@pytest.mark.parametrize(
    "now",
    [
        state(),
        state(restarts=1, age=86_400),
        state("failed", "failed", age=300, restarts=1),
    ],
    ids=["never restarted", "long ago", "dead"],
)
def test_an_older_failure_explains_nothing(journal: Journal, now: UnitState) -> None:
    journal.write("old", (KILLED, 86_401))
    journal.restarted(86_400)

    assert history.of(journal.context, now, None, ready=False).cause is None


def test_a_ready_k3s_has_no_cause(journal: Journal) -> None:
    journal.write("old", (KILLED, 6))
    journal.restarted(5)

    assert history.of(journal.context, state(restarts=1), None, ready=True).cause is None


def test_with_a_time_the_last_failure_since_then_is_found(journal: Journal) -> None:
    journal.write("old", (FATAL, 100))
    journal.write("new", ("level=info msg=hello", 4), invocation=NEW)

    found = history.of(journal.context, state(), "1 hour ago", ready=False)

    assert found.cause is not None
    assert found.cause.earlier


def test_a_unit_that_was_reset_has_its_last_start_in_the_journal(journal: Journal) -> None:
    journal.write("starts", ("Started", 100), invocation=OLD)
    journal.write("old", (FATAL, 90))
    reset = replace(state("inactive", "dead", 300), invocation="")

    assert OLD == history.of(journal.context, reset, None, ready=False).invocation


def test_the_wait_for_the_last_lines_ends_with_a_fatal_line(journal: Journal) -> None:
    journal.write("new", ("level=info msg=hello", 1), (FATAL, 1), invocation=NEW)

    found = history.of(
        journal.context, state("failed", "failed", 1), None, ready=False, settle=True
    )

    assert found.cause is not None
    assert 1 == journal.calls()


def test_the_wait_ends_soon_after_the_end(journal: Journal) -> None:
    ended = f"{UNIT}: Main process exited, code=exited, status=1/FAILURE"
    journal.write("new", ("level=info msg=hello", 1), (ended, 1), invocation=NEW)

    found = history.settled(journal.context, state("failed", "failed", 1), NEW)

    assert (None, True) == (found.cause, found.ended)


@pytest.mark.parametrize(
    ("now", "expected"),
    [(state(restarts=1), "killed"), (state(), None), (state(restarts=1, age=7200), None)],
)
def test_the_earlier_failure_of_a_ready_k3s_is_found_for_an_hour(
    journal: Journal, now: UnitState, expected: str | None
) -> None:
    journal.write("old", (KILLED, 7201), (KILLED, 6))
    journal.restarted(5)

    found = history.earlier(journal.context, now)

    assert expected == (found and found.id)


def test_restarts_have_a_period(journal: Journal) -> None:
    assert history.period(journal.context) is None
    journal.restarted(300, 200, 90)

    period = history.period(journal.context)

    assert period is not None
    assert 100 < period < 110


def test_restarts_are_a_loop(journal: Journal) -> None:
    journal.restarted(300, 200, 100)

    found = history.loop(journal.context, state(restarts=7))

    assert found is not None
    assert 7 == found.count
    assert history.loop(journal.context, state(restarts=1)) is None


def test_a_journal_that_cannot_be_read(journal: Journal) -> None:
    (journal.place / "journalctl").write_text("#!/bin/sh\necho no >&2\nexit 1\n")

    assert history.period(journal.context) is None
    assert history.loop(journal.context, state(restarts=5)) is None
    assert history.earlier(journal.context, state(restarts=1)) is None
    with pytest.raises(RootlessError):
        history.of(journal.context, state(), None, ready=False)
