"""Tests of the lines about a download that is not shown on a terminal."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from k3s_rootless.cli.display import download
from k3s_rootless.cli.display.report import Report
from k3s_rootless.operations.releases.events import Arrived, Arriving

MIB = 2**20
Captured = pytest.CaptureFixture[str]
Arrival = tuple[float, int]
"""A time in seconds, and the bytes that have arrived then."""


@pytest.fixture
def show(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Return a function that shows bytes as they arrive, and returns the printed lines."""

    def shown(*arrivals: Arrival, size: int | None, json_for: str | None = None) -> list[str]:
        report = Report(json_for=json_for)
        for seconds, received in arrivals:
            clock = SimpleNamespace(monotonic=lambda now=seconds: now)
            monkeypatch.setattr(download, "time", clock)
            report.handle(Arriving("k3s", "github.com", received, size))
        report.handle(Arrived("k3s"))
        out, err = capsys.readouterr()
        assert "" == out
        return [line.removeprefix("k3s from github.com: ") for line in err.splitlines()]

    return shown


Show = Callable[..., list[str]]


def test_a_line_has_the_share_the_rate_and_the_time_left(show: Show) -> None:
    assert [
        "0 B of 80.0 MiB (0%)",
        "5.0 MiB of 80.0 MiB (6%), 1.0 MiB/s, 1 min 15 s left",
        "60.0 MiB of 80.0 MiB (75%), 6.0 MiB/s, 3 s left",
        "80.0 MiB of 80.0 MiB (100%), 7.2 MiB/s",
    ] == show((100, 0), (105, 5 * MIB), (110, 60 * MIB), (111, 80 * MIB), size=80 * MIB)


def test_lines_are_five_seconds_apart_until_the_last(show: Show) -> None:
    arrivals = [(100 + seconds, seconds * MIB) for seconds in range(13)]

    lines = show(*arrivals, size=12 * MIB)

    assert ["0 B", "5.0 MiB", "10.0 MiB", "12.0 MiB"] == [one.partition(" of ")[0] for one in lines]


def test_bytes_of_an_earlier_try_do_not_count_for_the_rate(show: Show) -> None:
    assert [
        "40.0 MiB of 80.0 MiB (50%)",
        "45.0 MiB of 80.0 MiB (56%), 1.0 MiB/s, 35 s left",
    ] == show((100, 40 * MIB), (105, 45 * MIB), size=80 * MIB)


def test_without_a_size_only_the_bytes_are_shown(show: Show) -> None:
    assert ["0 B", "5.0 MiB"] == show((100, 0), (105, 5 * MIB), size=None)


def test_an_empty_file_has_no_rate(show: Show) -> None:
    assert ["0 B of 0 B (0%)"] == show((100, 0), size=0)


def test_json_has_no_progress(show: Show) -> None:
    assert [] == show((100, 0), (105, MIB), size=MIB, json_for="release-get")


def test_each_download_begins_with_its_own_line(show: Show) -> None:
    assert ["0 B"] == show((100, 0), size=None)
    assert ["0 B"] == show((101, 0), size=None)
