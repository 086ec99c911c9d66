"""Tests that the page shows what was gathered, escapes it, and sends no requests."""

from __future__ import annotations

import re
import struct
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k3s_rootless.journal.lines import LEVELS
from k3s_rootless.operations.readiness import milestones
from k3s_rootless.operations.readiness.milestones import Milestone
from k3s_rootless.operations.readiness.phases import STARTED
from k3s_rootless.support import page
from k3s_rootless.support.facts import Item, Line, LoggedStart, Missing
from tests.lab.fixtures import absent
from tests.support import chromium

pytestmark = pytest.mark.thorough

BEGAN = datetime(2026, 11, 24, 0, 1, 44, tzinfo=UTC)
HOSTILE = (
    '<script>document.title="owned"</script><img src="http://other.test/x.png"'
    ' onerror="1">"\'\u202e\x1b[31m'
)
ABOUT = {
    "made": BEGAN.isoformat(),
    "version": "0.1.0",
    "anonymous": False,
    "secrets_note": "",
    "redacted": {"token": 2},
    "redacted_total": 2,
}


def phases() -> list[dict[str, object]]:
    seen = [
        Milestone(STARTED, BEGAN, "systemd"),
        Milestone("kubeconfig written", BEGAN + timedelta(seconds=9.5), "time of ~/.kube/k3s.yaml"),
        Milestone("node registered", None, "the journal", "no line says so"),
    ]
    return milestones.document(seen, BEGAN)


def port(**other: object) -> dict[str, object]:
    row: dict[str, object] = {
        "protocol": "tcp",
        "parent_ip": None,
        "parent_port": 10080,
        "child_port": 80,
        "offset": 10000,
    }
    return row | {"target": "kube-system/traefik:80", "verdict": "pass", "reason": ""} | other


def variable(name: str, value: str | None) -> dict[str, object]:
    row: dict[str, object] = {
        "name": name,
        "value": value,
        "set": value is not None,
        "default": "7",
        "origin": "drop-in",
    }
    return row | {
        "path": "/x/50-y.conf",
        "reason": "",
        "warnings": [],
        "doubt": "",
        "started_with": None,
        "restart_needed": True,
    }


def content(text: str = "plain", lines: int = 3) -> page.Content:
    check = {
        "check": "k3s.binary",
        "title": text,
        "verdict": "fail",
        "observed": text,
        "source": "/x",
        "reason": text,
    }
    documents: dict[str, dict[str, Any]] = {
        "check": {
            "checks": [
                check | {"remedy": {"fixable_by": "user", "text": text, "commands": [text]}}
            ],
            "errors": [],
        },
        "status": {"state": "ready", "node": text, "errors": []},
        "ports": {
            "ports": [port(), port(parent_port=10443, verdict="fail", reason=text, target=text)],
            "errors": [],
        },
        "version": {
            "k3s": "v1.33.4+k3s1",
            "k3s_path": "/usr/local/bin/k3s",
            "systemd": "257",
            "errors": [],
        },
        "diagnosis": {
            "cause": {
                "title": text,
                "line": text,
                "fatal": True,
                "seen": [f"seen {text}"],
                "why": text,
                "remedy": None,
            },
            "contributing": [
                {
                    "id": "forward-failed",
                    "title": f"also {text}",
                    "line": text,
                    "time": None,
                    "remedy": None,
                }
            ],
            "errors": [],
        },
        "phases": {
            "start": BEGAN.isoformat(),
            "start_source": "systemd",
            "phases": phases(),
            "errors": [],
        },
        "config": {
            "settings": [
                {"name": "disable", "values": [text], "origin": "config", "set_to": [text]}
            ],
            "errors": [],
        },
        "env": {
            "variables": [variable("K3S_ROOTLESS_MTU", text), variable("K3S_ROOTLESS_CIDR", None)],
            "running": True,
            "pending": ["K3S_ROOTLESS_MTU"],
            "unit": {"PATH": text},
            "manager": {"LANG": None},
            "errors": [],
        },
        "host": {
            "os_release": {"PRETTY_NAME": text},
            "memory_kib": {"MemTotal": 2048},
            "unknown": [],
            "errors": [],
        },
    }
    log = tuple(
        Line(BEGAN, LEVELS[number % len(LEVELS)], "k3s[1]", f"{text} {number}")
        for number in range(lines)
    )
    begun = (LoggedStart("c1885cfeb3ef48ae81eee01c9bcad20c", log),)
    return page.Content(
        documents,
        begun,
        text,
        [Item("unit.txt", text, text)],
        [Missing("journal/", "the journal", text)],
        ABOUT,
    )


def test_the_page_shows_all_parts() -> None:
    shown = page.render(content())

    for expected in (
        "ready",
        "v1.33.4+k3s1",
        "10080/tcp",
        "kube-system/traefik:80",
        "9.5 s",
        "not observed: no line says so",
        "plain 2",
        "seen plain",
        "also plain",
        '<span class="dim">fix:</span> plain',
        "50-y.conf",
        "K3s is still running with the previous values of K3S_ROOTLESS_MTU",
        '<td class="mono">plain</td><td>config</td>',
    ):
        assert expected in shown


def test_collected_text_is_escaped() -> None:
    shown = page.render(content(HOSTILE))

    assert "<script" not in shown
    assert "<img" not in shown
    assert "\u202e" not in shown
    assert "\x1b" not in shown


@pytest.mark.thorough
@given(st.text(st.characters(), max_size=80))
@settings(deadline=None)
def test_any_text_can_be_rendered(text: str) -> None:
    shown = page.render(content(text, lines=1))

    assert shown.rstrip().endswith("</html>")
    assert re.findall(r"<script|<img|<iframe|<link|<object", shown, re.IGNORECASE) == []


def test_documents_with_errors_only_can_be_rendered() -> None:
    error = {
        "errors": [{"message": "no answer within the time limit", "hint": None, "exit_code": 1}]
    }
    documents = dict.fromkeys(
        ("check", "status", "ports", "version", "diagnosis", "phases", "config", "env", "host"),
        error,
    )

    shown = page.render(page.Content(documents, (), "", [], [], ABOUT))

    assert shown.count("no answer within the time limit") >= 6


def test_the_page_contains_no_address_that_a_browser_requests() -> None:
    shown = page.render(content())

    assert "default-src 'none'" in shown
    assert re.findall(r"(?:src|href)=\"(?!#)", shown) == []
    assert "@import" not in shown
    assert "url(" not in shown


def test_a_long_journal_shows_its_beginning_and_its_end() -> None:
    lines = tuple(Line(None, "info", "k3s", str(number)) for number in range(5000))

    shown, gap = page.excerpt(lines)

    assert (page.MOST_LINES, 3500) == (len(shown), gap)
    assert ["0", "299", "3800", "4999"] == [shown[at].text for at in (0, 299, 300, -1)]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=12))
def test_bars_stay_inside_the_time_line(seconds: list[float | None]) -> None:
    drawn = page.time_line(
        [{"phase": "x", "seconds": one, "source": "y", "reason": "z"} for one in seconds]
    )

    if drawn is None:
        assert all(one is None for one in seconds)
        return
    assert len(drawn.bars) == len(seconds)
    assert all(
        bar.width is None or (bar.start >= 0 <= bar.width and bar.start + bar.width <= 100.001)
        for bar in drawn.bars
    )
    assert all(0 <= tick.at <= 100 for tick in drawn.ticks)
    assert len(drawn.ticks) <= 9


def test_a_bar_begins_at_the_previous_phase() -> None:
    seconds = (0.0, 5.0, None, 20.0)
    drawn = page.time_line(
        [{"phase": "x", "seconds": one, "source": "y", "reason": "z"} for one in seconds]
    )

    assert drawn is not None
    assert [(0.0, 0.0), (0.0, 25.0), (0.0, None), (25.0, 75.0)] == [
        (bar.start, bar.width) for bar in drawn.bars
    ]
    assert [(0.0, "0 s"), (25.0, "5 s"), (50.0, "10 s"), (75.0, "15 s"), (100.0, "20 s")] == [
        (tick.at, tick.label) for tick in drawn.ticks
    ]
    assert 25.0 == drawn.step


def forwards(count: int) -> str:
    """Return the section of the page about this many forwards."""
    ports = {"ports": [port(parent_port=number) for number in range(count)], "errors": []}
    shown = page.render(page.Content({"ports": ports}, (), "", [], [], ABOUT))
    return shown.partition('id="forwards"')[2].partition("</section>")[0]


def test_many_forwards_are_truncated_and_counted() -> None:
    assert page.MOST_FORWARDS == forwards(1000).count("kube-system/traefik:80")
    assert f"and {1000 - page.MOST_FORWARDS} more: see ports.json" in forwards(1000)
    assert "more:" not in forwards(page.MOST_FORWARDS)
    assert "Nothing is forwarded." in forwards(0)


def test_a_file_older_than_the_start_belongs_to_an_earlier_start() -> None:
    old = BEGAN - timedelta(seconds=5)
    files: dict[str, tuple[str, datetime | None, str]] = {
        "kept": ("/a", BEGAN + timedelta(seconds=1), ""),
        "rounded": ("/b", BEGAN - timedelta(seconds=0.4), ""),
        "old": ("/c", old, ""),
        "gone": ("/d", None, "/d: no such file"),
    }
    found = {one.name: one for one in milestones.of_files(files, BEGAN)}

    assert [True, True, False, False] == [found[name].time is not None for name in files]
    assert BEGAN == found["rounded"].time
    assert "older than this start" in found["old"].reason
    assert all(one.time is None for one in milestones.of_files(files, None))


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """Return a directory for files of Chromium.

    Without Chromium the test is skipped, or fails where all layers are required.
    """
    if chromium.program() is None:
        absent("browser", "chromium is not installed")
    return tmp_path


def test_a_browser_shows_the_page_without_requests(browser: Path) -> None:
    file = browser / "index.html"
    file.write_text(page.render(content(HOSTILE)), "utf-8")

    light = chromium.opened(file, browser)
    dark = chromium.opened(file, browser, dark=True)

    assert () == light.requests == dark.requests
    assert "<title>Rootless K3s: support archive" in light.document
    assert 'class="bar"' in light.document
    assert corner(light.picture)[0] > 200
    assert corner(dark.picture)[0] < 60


def test_requests_of_the_browser_are_detected(browser: Path) -> None:
    """The same page without its policy, and with a picture from another host."""
    file = browser / "careless.html"
    file.write_text('<!DOCTYPE html><title>x</title><img src="http://other.test/x.png">', "utf-8")

    assert ("http://other.test/x.png",) == chromium.opened(file, browser).requests


def corner(picture: Path) -> bytes:
    """Return the first pixel of a PNG, as red, green and blue."""
    data = picture.read_bytes()
    at, packed = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    # The first byte of a row names its filter. No filter changes the value of the first pixel.
    return zlib.decompress(packed)[1:4]
