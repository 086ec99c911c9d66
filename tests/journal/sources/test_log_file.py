"""Tests of the log files of containerd and K3s: times of lines, and the lines of one start."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.journal.sources import log_file

NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
EXACT = NOON.replace(microsecond=123456)


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_the_time_of_a_line_is_in_utc(text: str, expected: datetime | None, tmp_path: Path) -> None:
    path = tmp_path / "k3s.log"
    path.write_text(f"{text}\n")

    with log_file.Reading(path, "k3s") as reading:
        (entry,) = reading

    assert (expected, text, "k3s") == (entry.time, entry.message, entry.identifier)


@pytest.fixture
def tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("tokyo")
@pytest.mark.parametrize(
    ("before", "head", "expected"),
    [
        ("2026-11-27T12:00:00Z", "E1127 21:00:01.500000", "2026-11-27T12:00:01.500000+00:00"),
        ("2026-12-31T14:59:59Z", "I0101 00:00:00.000001", "2026-12-31T15:00:00.000001+00:00"),
        ("2026-11-27T12:00:00Z", "W1399 21:00:01.500000", None),
        ("none", "E1127 21:00:01.500000", None),
    ],
)
def test_a_line_of_klog_has_local_time_and_the_year_of_the_line_before(
    before: str, head: str, expected: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "k3s.log"
    path.write_text(f'time="{before}" level=info msg=x\n{head}    34 x.go:1] y\n')

    with log_file.Reading(path, "k3s") as reading:
        _, entry = reading

    assert expected == (entry.time and entry.time.isoformat())


def test_the_lines_of_one_start_are_between_its_begin_and_its_end(tmp_path: Path) -> None:
    path = tmp_path / "k3s.log"
    times = [NOON + timedelta(minutes=minute) for minute in range(4)]
    lines = [f'time="{one:%Y-%m-%dT%H:%M:%SZ}" msg={number}' for number, one in enumerate(times)]
    path.write_text("".join(f"{line}\n  goes on\n" for line in lines))

    with log_file.Reading(path, "k3s") as reading:
        begun, ended = times[1], times[2]
        found = list(log_file.until(log_file.since(reading, begun), ended))

    assert [lines[1], "  goes on", lines[2], "  goes on"] == [one.message for one in found]
