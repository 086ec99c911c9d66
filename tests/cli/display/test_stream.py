"""Tests of lines as text and as JSON: repeats are counted, weights are colours."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from k3s_rootless.cli.display import stream
from k3s_rootless.journal import lines
from k3s_rootless.journal.facts import Entry
from k3s_rootless.operations.logs import QUIET, CaughtUp, LogLine, Record

KLOG = "E1123 21:35:{second:02}.000001      21 kubelet.go:240] waiting"


def record(message: str, weight: str = "", *, identifier: str | None = "k3s") -> LogLine:
    entry = Entry(None, message, identifier=identifier)
    return LogLine(entry, lines.parse(message, identifier), weight)


def text(*records: Record, in_colour: bool = False) -> list[str | None]:
    return list(stream.text_lines(records, in_colour=in_colour))


def test_lines_that_differ_only_in_time_are_counted() -> None:
    waiting = [record(KLOG.format(second=second)) for second in range(4)]

    assert [
        f"- k3s: {KLOG.format(second=0)}",
        "                … repeated 3 more times",
        "- k3s: other",
        "- k3s: last",
        "                … repeated 1 more time",
    ] == text(*waiting, record("other"), record("last"), record("last"))


def test_the_same_text_of_another_program_is_a_different_line() -> None:
    assert ["- k3s: again", "- systemd: again"] == text(
        record("again"), record("again", identifier="systemd")
    )


def test_new_lines_are_never_counted_and_a_count_does_not_wait_for_them() -> None:
    again = record("again")

    assert [
        "- k3s: again",
        "                … repeated 1 more time",
        None,
        "- k3s: again",
        "- k3s: again",
    ] == text(again, again, CaughtUp(), again, again)


@pytest.mark.parametrize(
    ("weight", "shown"),
    [
        ("info", "- k3s: x"),
        (QUIET, "\x1b[2m- k3s: x\x1b[0m"),
        ("warning", "\x1b[33m\x1b[22m- k3s: x\x1b[0m"),
        ("error", "\x1b[31m\x1b[22m- k3s: x\x1b[0m"),
        ("fatal", "\x1b[31m\x1b[1m- k3s: x\x1b[0m"),
    ],
)
def test_a_weight_is_a_colour(weight: str, shown: str) -> None:
    assert [shown] == text(record("x", weight), in_colour=True)
    assert ["- k3s: x"] == text(record("x", weight))


def test_a_line_has_its_time_in_the_time_zone_of_the_reader() -> None:
    time = datetime(2026, 11, 23, 9, 5, 7, tzinfo=UTC)
    local = time.astimezone().strftime("%b %d %H:%M:%S")

    shown = stream.text_line(LogLine(Entry(time, "x"), lines.parse("x")))

    assert f"{local} k3s: x" == shown


def test_json_counts_nothing() -> None:
    again = record("again")

    shown = list(stream.json_lines([again, again, CaughtUp(), again]))

    assert shown[2] is None
    documents = [json.loads(one) for one in shown if one is not None]
    assert ["again"] * 3 == [one["message"] for one in documents]
    assert {"k3s-rootless/logs/v1"} == {one["schema"] for one in documents}
