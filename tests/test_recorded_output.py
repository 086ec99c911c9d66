"""Tests that the output in the documentation is recorded output.

`python -m tests.e2e.recorded_output` records it again, and writes these blocks again.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests import recorded

_LEAST = 30
"""The length from which a line of a recording is too long to be in a block by chance."""
_RECORD_AGAIN = "record it again: python -m tests.e2e.recorded_output"


@pytest.fixture(scope="module")
def printed() -> set[str]:
    """Return the long lines of all recorded texts."""
    return {
        line.strip()
        for file in recorded.OUTPUTS.glob("*.txt")
        for line in file.read_text("utf-8").splitlines()[1:]
        if len(line.strip()) >= _LEAST and not line.strip().startswith("$ ")
    }


@pytest.mark.parametrize("page", recorded.PAGES, ids=lambda page: page.name)
def test_a_block_shows_what_was_recorded(page: Path) -> None:
    text = page.read_text("utf-8")

    assert recorded.written(text) == text, _RECORD_AGAIN


@pytest.mark.parametrize("page", recorded.PAGES, ids=lambda page: page.name)
def test_a_block_without_a_recording_has_no_output(page: Path, printed: set[str]) -> None:
    for block in recorded.unmarked(page.read_text("utf-8")):
        assert not re.search(r"^\$ k3s-rootless ", block, re.MULTILINE), block
        assert not re.search(r'"schema": "k3s-rootless/[a-z-]+/v\d+"', block), block
        assert set() == printed & {line.strip() for line in block.splitlines()}


def test_each_recording_is_used() -> None:
    """Documents that no page shows are compared with the tables of the page of JSON."""
    named = {
        recorded.path(match).name
        for page in recorded.PAGES
        for names in recorded.MARKED.findall(page.read_text("utf-8"))
        for match in re.findall(r"[a-z0-9-]+(?:\.jsonl?)?(?=\[|\s|$)", names[0])
    }

    assert set() == {file.name for file in recorded.OUTPUTS.glob("*.txt")} - named


def test_a_block_can_leave_lines_out() -> None:
    lines = recorded.read("ports").splitlines(keepends=True)

    assert "".join([*lines[:2], "[…]\n", lines[-1]]) == recorded.shown("ports[2+1]")
    assert "".join([*lines[:3], "[…]\n"]) == recorded.shown("ports[3+0]")


def test_recordings_are_shown_one_after_the_other() -> None:
    assert recorded.read("down") + recorded.read("status") == recorded.shown("down status")


def test_an_example_leaves_the_third_object_out() -> None:
    value = {"a": [{"n": 1}, {"n": 2}, {"n": 3}], "b": ["x", "y", "z"], "c": None}

    assert '{\n  "a": [{"n": 1}, {"n": 2}, …], "b": ["x", "y", "z"], "c": null\n}' == (
        recorded.example(value)
    )


def test_an_example_that_is_short_enough_is_the_document() -> None:
    value = json.loads(recorded.read("diagnose.json"))

    assert value == json.loads(recorded.example(value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ready (2.7 s)", "ready (11.4 s)"),
        ("at 2026-11-27T14:11:05.405996+00:00", "at 2027-01-01T00:00:00Z"),
        ("python3 (PID 17)", "python3 (PID 4711)"),
        ("NAME    VALUE\n─────   ─────\n", "NAME      VALUE\n───────   ─────\n"),
    ],
)
def test_times_and_pids_make_no_other_recording(one: str, other: str) -> None:
    assert recorded.stable(one, ".txt") == recorded.stable(other, ".txt")


@pytest.mark.parametrize(
    ("one", "other"),
    [("port 80", "port 81"), ("K3s is ready", "K3s runs"), ("3 restarts", "4 restarts")],
)
def test_words_and_ports_make_another_recording(one: str, other: str) -> None:
    assert recorded.stable(one, ".txt") != recorded.stable(other, ".txt")
