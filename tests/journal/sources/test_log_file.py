"""Tests of the log files of containerd and K3s: times of lines, and the lines of one start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.journal.sources import log_file

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
EXACT = NOON.replace(microsecond=123456)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ('time="2026-11-27T12:00:00Z" level=info msg=x', NOON),
        ('time="2026-11-27T21:00:00+09:00" level=info msg=x', NOON),
        (
            'time="2026-11-27T12:00:00.123456789Z" level=info msg=x',
            NOON.replace(microsecond=123456),
        ),
        ('time="2026-11-27T12:00:00" level=info msg=x', NOON),
        ('time="2026-13-27T12:00:00Z" level=info msg=x', None),
        ("I1127 12:00:00.000001      34 x.go:1] y", None),
        ("", None),
    ],
)
def test_the_time_of_a_line_is_in_utc(text: str, time: datetime | None, tmp_path: Path) -> None:
    path = tmp_path / "k3s.log"
    path.write_text(f"{text}\n")

    with log_file.Reading(path, "k3s") as reading:
        (entry,) = reading

    assert (time, text, "k3s") == (entry.time, entry.message, entry.identifier)


def test_the_lines_of_one_start_are_between_its_begin_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "k3s.log"
    times = [NOON + timedelta(minutes=minute) for minute in range(4)]
    lines = [f'time="{one:%Y-%m-%dT%H:%M:%SZ}" msg={number}' for number, one in enumerate(times)]
    path.write_text("".join(f"{line}\n  goes on\n" for line in lines))

    with log_file.Reading(path, "k3s") as reading:
        begun, ended = times[1], times[2]
        found = list(log_file.until(log_file.since(reading, begun), ended))

    assert [lines[1], "  goes on", lines[2], "  goes on"] == [one.message for one in found]
