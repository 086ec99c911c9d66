"""Tests of a look of `status` as text, and of the output of a watch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from k3s_rootless.cli.display import status, status_watch
from k3s_rootless.cli.display.report import Report
from k3s_rootless.errors import NotRunning
from k3s_rootless.journal.facts import Cause
from k3s_rootless.observation import Known
from k3s_rootless.operations.status.model import Certificate, Seen
from k3s_rootless.service.facts import Usage
from k3s_rootless.service.unit.pending_changes import Part, Pending
from k3s_rootless.service.unit.seal import Author
from tests.operations.status import records
from tests.operations.status.records import (
    CAUSE,
    FAILED,
    LOST,
    NOW,
    READY,
    SILENT,
    START,
    STATE,
    failed,
    kubeconfig,
    seen,
    stopped,
)

ABSENT = NotRunning("K3s is not installed for this user", hint="install it")


def test_a_ready_k3s_is_one_screen() -> None:
    assert [
        "K3s          ready",
        "unit         active (running), enabled, since 2 h",
        "restarts     0",
        f"release      {records.RELEASE}",
        "start        node ready 30.0 s",
        "node         host, ready, since 1 h",
        "memory       1024 MiB, at most 2048 MiB",
        "cpu          4.5 s, 0.1% of one CPU since the start",
        "forwards     1 (see: k3s-rootless ports)",
        "kubeconfig   /h/k3s.yaml, 2 h old, mode 0600",
        "certificates client until 2027-09-16",
        "linger       on",
    ] == list(status.lines(READY))


def test_a_stopped_k3s_shows_less() -> None:
    labels = [line.split()[0] for line in status.lines(stopped(lingers=SILENT))]

    assert ["K3s", "unit", "restarts", "release", "kubeconfig", "certificates", "unknown"] == labels


def lines(look: Seen, label: str) -> list[str]:
    return [line for line in status.lines(look) if line.startswith(label)]


@pytest.mark.parametrize(
    ("look", "line"),
    [
        (
            seen(kit=SILENT),
            f"K3s          running, not ready: child namespace and API socket: {SILENT.reason}",
        ),
        (
            seen(state=None, problem=LOST),
            "processes    rootlesskit answers, and its child is process 0",
        ),
        (
            failed(),
            "unit         failed (failed), enabled, since 2 h, last result exit-code",
        ),
        (
            seen(state=replace(STATE, file_state="", started=None)),
            "unit         active (running), not enabled",
        ),
        (
            seen(state=replace(STATE, restarts=3), period=Known(90.0)),
            "restarts     3: K3s died again and again, every 1 min; it has run since then",
        ),
        (
            seen(state=replace(FAILED, restarts=3)),
            "restarts     3: K3s died again and again; systemd has given up",
        ),
        (
            seen(state=replace(records.RESTARTING, restarts=3)),
            "restarts     3: K3s dies again and again",
        ),
        (
            seen(installed=Known("v1.34.1+k3s1")),
            (
                "release      the unit was written for v1.33.4+k3s1, installed is v1.34.1+k3s1,"
                " running is v1.33.4+k3s1"
            ),
        ),
        (stopped(version=None, installed=SILENT), "release      unknown"),
        (
            seen(usage=Usage(memory=20 * 2**30, memory_limit=2**30)),
            "memory       20.0 GiB, of 1024 MiB",
        ),
        (
            seen(usage=Usage(cpu=1.0, cpu_limit=2.0), state=replace(STATE, started=None)),
            "cpu          1.0 s, limited to 2 CPUs",
        ),
        (
            seen(kubeconfig=kubeconfig(START - timedelta(days=3), 0o644)),
            "kubeconfig   /h/k3s.yaml, 3 d old, mode 0644, readable by others, of an earlier start",
        ),
        (
            seen(kubeconfig=SILENT),
            "kubeconfig   it gave no answer in time; a restart writes it: k3s-rootless restart",
        ),
        (
            seen(certificates=(Certificate("server", Known(NOW)),)),
            "certificates server expired on 2026-11-20",
        ),
        (
            seen(certificates=(Certificate("server", Known(NOW + timedelta(days=2))),)),
            "certificates server until 2026-11-22 (in 2 d)",
        ),
        (
            seen(lingers=Known(value=False)),
            "linger       off: K3s stops when your last session ends",
        ),
        (
            seen(files=Known((Part(records.FRAGMENT, NOW, Author.EDITED),))),
            "drift        `/u/k3s-rootless.service` was written by k3s-rootless and edited since",
        ),
        (
            seen(pending=(Pending("restart", "it changed", "k3s-rootless restart"),)),
            "pending      restart: it changed: k3s-rootless restart",
        ),
        (seen(installed=SILENT), "unknown      installed release: it gave no answer in time"),
    ],
)
def test_a_line_of_the_screen(look: Seen, line: str) -> None:
    assert [line] == lines(look, line.split(maxsplit=1)[0])


def test_a_cause_is_shown_with_its_line() -> None:
    found = list(status.lines(failed()))

    assert [
        "cause        no /dev/net/tun (device.tun)",
        "             level=fatal tun",
        "             see what mends it: k3s-rootless diagnose",
    ] == found[3:6]


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (
            replace(CAUSE, earlier=True, check=""),
            "earlier      the start before this one failed: no /dev/net/tun (tun)",
        ),
        (replace(CAUSE, id="unknown", line=""), "cause        no /dev/net/tun"),
    ],
)
def test_the_title_of_a_cause(cause: Cause, line: str) -> None:
    assert line in status.lines(failed(cause=Known(cause)))


def test_the_same_reason_is_not_shown_twice() -> None:
    waiting = seen(nodes=SILENT)
    moved = seen(kubeconfig=SILENT)
    lost = seen(state=None, problem=LOST)

    assert [[], [], []] == [lines(look, "unknown") for look in (waiting, moved, lost)]


def shown(
    capsys: pytest.CaptureFixture[str], looks: Iterable[Seen | NotRunning], json_for: str | None
) -> tuple[list[str], list[str]]:
    """Return the lines of stdout without the time, and those of stderr."""
    status_watch.show(Report(json_for=json_for), looks)
    found = capsys.readouterr()
    out = found.out.splitlines()
    if json_for is None:
        out = [line.partition(" ")[2] for line in out]
    return out, found.err.splitlines()


def test_a_watch_prints_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    later = seen(time=NOW + timedelta(seconds=9), usage=Usage(memory=1))
    pending = (Pending("restart", "it changed", "x"),)

    out, err = shown(capsys, [READY, later, seen(kit=SILENT, pending=pending), failed()], None)

    invocation = "a" * 32
    assert [
        "K3s: ready",
        f"unit: active (running), invocation {invocation}",
        "restarts: 0",
        "forwards: 1",
        f"K3s: running, not ready: child namespace and API socket: {SILENT.reason}",
        "pending: restart: it changed",
        "forwards: -",
        "K3s: failed",
        f"unit: failed (failed), invocation {invocation}",
        "cause: no /dev/net/tun",
        "pending: -",
    ] == out
    assert [] == err


def test_a_watch_reports_a_lost_user_manager_once(capsys: pytest.CaptureFixture[str]) -> None:
    lost = seen(state=None, problem=LOST)

    _, err = shown(capsys, [READY, lost, lost, READY], None)

    assert [f"lost the user manager: {LOST.message}", "the user manager answers again"] == err


def test_a_watch_prints_the_absence_once(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = shown(capsys, [ABSENT, ABSENT, stopped()], None)

    assert [f"K3s: {ABSENT.message}", "K3s: not running"] == out[:2]
    assert 1 == sum(ABSENT.message in line for line in out)


def test_a_watch_prints_a_document_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    later = seen(time=NOW + timedelta(seconds=9), usage=Usage(memory=1))

    out, _ = shown(capsys, [ABSENT, ABSENT, READY, later, stopped()], "status")

    documents = [json.loads(line) for line in out]
    assert [None, "ready", "not running"] == [one.get("state") for one in documents]
    assert {"k3s-rootless/status/v1"} == {one["schema"] for one in documents}
    assert False is documents[0]["installed"]
