"""Tests of what is deleted after a scheduled backup, and of the judgement of scheduled backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.backup import age, names, rotation, scheduled_run
from k3s_rootless.backup.records import Age, Outcome, ScheduledRun
from k3s_rootless.errors import PeerError, RootlessError

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))  # noqa: DTZ001 (for names)


def name(days: int) -> str:
    return names.archive(NOW - days * DAY, scheduled=True)


def test_names() -> None:
    assert name(0) == "k3s-rootless-backup-20261127T120000Z-scheduled.tar.gz"
    assert names.archive(NOW) == "k3s-rootless-backup-20261127T120000Z.tar.gz"
    assert names.is_scheduled(name(0))
    for other in (names.archive(NOW), f"my-{name(0)}", f"{name(0)}.bak", f".{name(0)}", ""):
        assert not names.is_scheduled(other)


def test_the_oldest_scheduled_backups_are_deleted() -> None:
    mine = [names.archive(NOW - 100 * DAY), "before-upgrade.tar.gz"]
    found = [*mine, *map(name, range(5))]

    assert rotation.superseded(found, name(0), 3) == (name(4), name(3))
    assert rotation.superseded(found, name(0), 1) == (name(4), name(3), name(2), name(1))
    assert rotation.superseded(found, name(0), 5) == ()


def test_the_new_backup_remains_after_a_correction_of_the_clock() -> None:
    found = [name(days) for days in (3, -10, -20)]

    assert rotation.superseded(found, name(3), 2) == (name(-10),)


@given(st.sets(TIMES, max_size=12), st.sets(TIMES, max_size=5), TIMES, st.integers(1, 9))
def test_never_more_than_the_superfluous_scheduled_ones(
    scheduled: set[datetime], own: set[datetime], new: datetime, keep: int
) -> None:
    found = {names.archive(one, scheduled=True) for one in (*scheduled, new)}
    mine = {names.archive(one) for one in own}
    new_name = names.archive(new, scheduled=True)

    gone = set(rotation.superseded(found | mine, new_name, keep))

    assert gone <= found - {new_name}
    assert len(found - gone) == min(len(found), keep)


def run(outcome: Outcome, hours: float, problem: str = "") -> ScheduledRun:
    return ScheduledRun(outcome, NOW - timedelta(hours=hours), problem)


@pytest.mark.parametrize(
    ("last", "every", "since", "found", "problem"),
    [
        (None, None, None, None, ""),
        (NOW - 90 * DAY, None, None, run(Outcome.FAILED, 5, "no space"), ""),
        (NOW - DAY, "daily", NOW - 9 * DAY, run(Outcome.SUCCEEDED, 24), ""),
        (None, "daily", NOW - DAY, None, ""),
        (
            NOW - 3 * DAY,
            "daily",
            NOW - 9 * DAY,
            run(Outcome.FAILED, 12, "no space"),
            "the scheduled backup of 2026-11-27 00:00 UTC failed: no space",
        ),
        (NOW, "daily", NOW - DAY, run(Outcome.FAILED, 48, "before the schedule was set"), ""),
        (NOW, "daily", NOW - DAY, run(Outcome.RUNNING, 0.5), ""),
        (NOW, "daily", NOW - DAY, run(Outcome.RUNNING, 2), "was interrupted"),
        (NOW - 3 * DAY, "daily", NOW - 9 * DAY, None, "scheduled daily, but there was none for 3"),
        (None, "daily", NOW - 4 * DAY, None, "there was none for 4 days"),
        (NOW - 10 * DAY, "weekly", NOW - 30 * DAY, None, ""),
        (NOW - 15 * DAY, "weekly", NOW - 30 * DAY, None, "scheduled weekly"),
        (NOW - 90 * DAY, "*-*-1 03:00", NOW - 90 * DAY, None, ""),
    ],
)
def test_judgement(
    last: datetime | None,
    every: str | None,
    since: datetime | None,
    found: ScheduledRun | None,
    problem: str,
) -> None:
    judged = age.judge(last, every, since, found, NOW)

    assert judged == Age(last, every, judged.problem)
    assert problem in judged.problem
    assert bool(problem) == bool(judged.problem)


@pytest.mark.parametrize("outcome", Outcome)
def test_a_record_is_read_as_it_was_written(outcome: Outcome, tmp_path: Path) -> None:
    file = tmp_path / "backups/scheduled.json"
    assert scheduled_run.load(file) is None

    scheduled_run.save(file, run(outcome, 1, "grün\x1b"))

    assert scheduled_run.load(file) == run(outcome, 1, "grün\x1b")
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"outcome": "lost"}', '{"outcome": "failed"}'])
def test_a_damaged_record(text: str, tmp_path: Path) -> None:
    file = tmp_path / "scheduled.json"
    file.write_text(text)

    with pytest.raises(PeerError, match="cannot parse"):
        scheduled_run.load(file)


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="it is not a regular file"):
        scheduled_run.load(tmp_path)
