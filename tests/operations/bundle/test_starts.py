"""Tests of the last starts in a bundle: the newest lines are kept."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.bundle import starts
from tests.fakes.host import Host

FIRST, SECOND = "1" * 32, "2" * 32


def logged(message: str, invocation: str, **fields: str) -> dict[str, str]:
    return {"MESSAGE": message, "_SYSTEMD_INVOCATION_ID": invocation, **fields}


def test_the_newest_start_comes_first_also_when_starts_overlap(host: Host) -> None:
    host.log(
        "existing",
        logged("one", FIRST, _PID="7"),
        logged("two", SECOND, PRIORITY="4"),
        logged("three\nfour", FIRST, SYSLOG_IDENTIFIER="systemd"),
    )

    found = starts.last(0)

    assert [FIRST, SECOND] == [one.invocation for one in found]
    assert [("k3s[7]", "one"), ("systemd", "three"), ("systemd", "four")] == [
        (line.source, line.text) for line in found[0].lines
    ]
    assert ["warning"] == [line.level for line in found[1].lines]
    assert not any(one.cut for one in found)


def test_five_starts_are_kept(host: Host) -> None:
    host.log("existing", *(logged("x", f"{number:032x}") for number in range(1, 9)))

    assert [f"{number:032x}" for number in (8, 7, 6, 5, 4)] == [
        one.invocation for one in starts.last(0)
    ]


def test_the_newest_text_is_kept_and_the_truncated_start_is_marked(host: Host) -> None:
    long = "x" * 60_000
    count = starts.MOST_CHARACTERS // len(long) + 5
    host.log("existing", *(logged(long, FIRST) for _ in range(count)), logged("end", SECOND))

    newest, oldest = starts.last(0)

    assert (False, True) == (newest.cut, oldest.cut)
    assert sum(len(line.text) for line in oldest.lines) <= starts.MOST_CHARACTERS


def test_too_many_lines_mark_the_first_start_as_truncated(host: Host) -> None:
    host.log("existing", *(logged("x", FIRST) for _ in range(starts.MOST_LINES)))

    (only,) = starts.last(0)

    assert only.cut
    assert f"--lines={starts.MOST_LINES}" in host.calls()[0]


def test_a_start_is_followed_to_its_cause(host: Host) -> None:
    times = ("1795469711000000", "1795469712000000", "1795469713000000")
    host.log(
        "existing",
        logged("Starting k3s v1.33.4+k3s1", FIRST, __REALTIME_TIMESTAMP=times[0]),
        logged("Starting k3s v1.33.4+k3s1", FIRST, __REALTIME_TIMESTAMP=times[1]),
        logged('level=fatal msg="got negative mtu"', FIRST, __REALTIME_TIMESTAMP=times[2]),
    )

    found = starts.observe(0, FIRST)

    first = datetime.fromtimestamp(1795469711, UTC)
    assert (first, {"K3s started in its namespace": first}) == (found.first, found.reached)
    assert found.log.cause is not None
    assert "mtu-invalid" == found.log.cause.id


@pytest.mark.parametrize("invocation", [""])
def test_without_a_start_nothing_is_read(host: Host, invocation: str) -> None:
    assert starts.observe(0, invocation).log.cause is None
    assert [] == host.calls()


def test_the_newest_lines_of_a_log_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "k3s.log"
    path.write_text('time="2026-11-27T12:00:00Z" level=warning msg=one\n  two\n')

    found = starts.of_file(path)

    assert [("warning", "k3s"), ("info", "k3s")] == [(one.level, one.source) for one in found.lines]
    assert (datetime(2026, 11, 27, 12, tzinfo=UTC), None) == tuple(one.time for one in found.lines)
    assert not found.cut


def test_a_long_log_file_begins_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "k3s.log"
    path.write_text("".join(f"line {number:07d} {'x' * 1000}\n" for number in range(5000)))

    found = starts.of_file(path)

    assert found.cut
    assert all(one.text.startswith("line ") for one in found.lines)
    assert found.lines[-1].text.startswith("line 0004999")
    assert sum(len(one.text) for one in found.lines) <= starts.MOST_CHARACTERS


def test_a_missing_log_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="no such file"):
        starts.of_file(tmp_path / "k3s.log")
