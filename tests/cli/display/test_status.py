"""Tests of the output of `status` as text, and of the output of a watch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest

from k3s_rootless.backup.records import Age
from k3s_rootless.cli.display import status, status_watch
from k3s_rootless.cli.display.report import Report
from k3s_rootless.errors import NotRunning
from k3s_rootless.journal.facts import Cause
from k3s_rootless.observation import Known
from k3s_rootless.operations.status.model import Certificate, Snapshot
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
    snapshot_with,
    stopped,
)

ABSENT = NotRunning("K3s is not installed for this user", hint="install it")


def test_a_ready_k3s_has_all_lines() -> None:
    assert [
        "K3s          ready",
        "unit         active (running), enabled, since 2 h",
        "restarts     0",
        f"release      {records.RELEASE}",
        "start        node ready 30.0 s",
        "node         host, ready, since 1 h",
        "memory       1.0 GiB, peak 2.0 GiB",
        "cpu          4.5 s, 0.1% of one CPU since the start",
        "forwards     1 (details: k3s-rootless ports)",
        "kubeconfig   /h/k3s.yaml, 2 h old, mode 0600",
        "certificates client valid until 2027-09-16",
        "linger       on",
    ] == list(status.lines(READY))


def test_a_stopped_k3s_has_fewer_lines() -> None:
    labels = [line.split()[0] for line in status.lines(stopped(lingers=SILENT))]

    assert ["K3s", "unit", "restarts", "release", "kubeconfig", "certificates", "unknown"] == labels


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Age(None, None), []),
        (Age(NOW - timedelta(days=9), None), ["backup       9 d old"]),
        (Age(None, "daily"), ["backup       none yet, scheduled daily"]),
        (
            Age(NOW - timedelta(hours=5), "weekly", "it failed"),
            ["backup       5 h old, scheduled weekly", "             it failed"],
        ),
    ],
)
def test_the_age_of_backups(found: Age, expected: list[str]) -> None:
    shown = list(status.lines(snapshot_with(backups=Known(found))))

    assert shown[12:] == expected


def test_unfinished_work_has_its_commands() -> None:
    found = list(status.lines(stopped(unfinished=Known(records.UNFINISHED))))

    at = found.index("unfinished   a restore is not finished")
    assert found[at + 1 : at + 3] == [
        "             finish: --continue",
        "             undo: --abort",
    ]


def lines(snapshot: Snapshot, label: str) -> list[str]:
    return [line for line in status.lines(snapshot) if line.startswith(label)]


@pytest.mark.parametrize(
    ("snapshot", "line"),
    [
        (
            snapshot_with(kit=SILENT),
            (
                f"K3s          running, not ready: {SILENT.reason} (phase: child namespace and API"
                " socket)"
            ),
        ),
        (
            snapshot_with(state=None, problem=LOST),
            "processes    rootlesskit is running; its child is PID 0",
        ),
        (
            failed(),
            "unit         failed (failed), enabled, since 2 h, last result exit-code",
        ),
        (
            snapshot_with(state=replace(STATE, file_state="", started=None)),
            "unit         active (running), not enabled",
        ),
        (
            snapshot_with(state=replace(STATE, restarts=3), period=Known(90.0)),
            "restarts     3, restart loop, every 1 min; K3s has been running since then",
        ),
        (
            snapshot_with(state=replace(FAILED, restarts=3)),
            "restarts     3, restart loop; systemd no longer restarts K3s",
        ),
        (
            snapshot_with(state=replace(records.RESTARTING, restarts=3)),
            "restarts     3, restart loop",
        ),
        (
            snapshot_with(installed=Known("v1.34.1+k3s1")),
            (
                "release      running v1.33.4+k3s1, installed v1.34.1+k3s1, unit written for"
                " v1.33.4+k3s1"
            ),
        ),
        (stopped(version=None, installed=SILENT), "release      unknown"),
        (
            snapshot_with(usage=Usage(memory=20 * 2**30, memory_limit=2**30)),
            "memory       20.0 GiB, limit 1.0 GiB",
        ),
        (
            snapshot_with(usage=Usage(cpu=1.0, cpu_limit=2.0), state=replace(STATE, started=None)),
            "cpu          1.0 s, limit 2 CPUs",
        ),
        (
            snapshot_with(kubeconfig=kubeconfig(START - timedelta(days=3), 0o644)),
            (
                "kubeconfig   /h/k3s.yaml, 3 d old, mode 0644, readable by other users, written by"
                " an earlier start"
            ),
        ),
        (
            snapshot_with(kubeconfig=SILENT),
            (f"kubeconfig   {SILENT.reason}; a restart writes it again: k3s-rootless restart"),
        ),
        (
            snapshot_with(certificates=(Certificate("server", Known(NOW)),)),
            "certificates server expired on 2026-11-20",
        ),
        (
            snapshot_with(certificates=(Certificate("server", Known(NOW + timedelta(days=2))),)),
            "certificates server valid until 2026-11-22 (in 2 d)",
        ),
        (
            snapshot_with(lingers=Known(value=False)),
            "linger       off: K3s stops when your last session ends",
        ),
        (
            snapshot_with(files=Known((Part(records.FRAGMENT, NOW, Author.EDITED),))),
            "drift        `/u/k3s-rootless.service` was written by k3s-rootless and edited since",
        ),
        (
            snapshot_with(pending=(Pending("restart", "it changed", "k3s-rootless restart"),)),
            "pending      restart required: it changed; apply it with: k3s-rootless restart",
        ),
        (snapshot_with(installed=SILENT), f"unknown      installed release: {SILENT.reason}"),
    ],
)
def test_a_line_of_the_screen(snapshot: Snapshot, line: str) -> None:
    assert [line] == lines(snapshot, line.split(maxsplit=1)[0])


def test_a_cause_is_shown_with_its_line() -> None:
    found = list(status.lines(failed()))

    assert [
        "cause        no /dev/net/tun (device.tun)",
        "             level=fatal tun",
        "             how to fix it: k3s-rootless diagnose",
    ] == found[3:6]


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (
            replace(CAUSE, earlier=True, check=""),
            "earlier      the previous start failed: no /dev/net/tun (tun)",
        ),
        (replace(CAUSE, id="unknown", line=""), "cause        no /dev/net/tun"),
    ],
)
def test_the_title_of_a_cause(cause: Cause, line: str) -> None:
    assert line in status.lines(failed(cause=Known(cause)))


def test_a_reason_is_shown_only_once() -> None:
    waiting = snapshot_with(nodes=SILENT)
    moved = snapshot_with(kubeconfig=SILENT)
    lost = snapshot_with(state=None, problem=LOST)

    assert [[], [], []] == [lines(snapshot, "unknown") for snapshot in (waiting, moved, lost)]


def shown(
    capsys: pytest.CaptureFixture[str],
    snapshots: Iterable[Snapshot | NotRunning],
    json_for: str | None,
) -> tuple[list[str], list[str]]:
    """Return the lines of stdout without the time, and those of stderr."""
    status_watch.show(Report(json_for=json_for), snapshots)
    found = capsys.readouterr()
    out = found.out.splitlines()
    if json_for is None:
        out = [line.partition(" ")[2] for line in out]
    return out, found.err.splitlines()


def test_a_watch_prints_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    later = snapshot_with(time=NOW + timedelta(seconds=9), usage=Usage(memory=1))
    pending = (Pending("restart", "it changed", "x"),)

    out, err = shown(
        capsys, [READY, later, snapshot_with(kit=SILENT, pending=pending), failed()], None
    )

    invocation = "a" * 32
    assert [
        "K3s: ready",
        f"unit: active (running), invocation {invocation}",
        "restarts: 0",
        "forwards: 1",
        f"K3s: running, not ready: {SILENT.reason} (phase: child namespace and API socket)",
        "pending: restart required: it changed",
        "forwards: -",
        "K3s: failed",
        f"unit: failed (failed), invocation {invocation}",
        "cause: no /dev/net/tun",
        "pending: -",
    ] == out
    assert [] == err


def test_a_watch_reports_a_lost_user_manager_once(capsys: pytest.CaptureFixture[str]) -> None:
    lost = snapshot_with(state=None, problem=LOST)

    _, err = shown(capsys, [READY, lost, lost, READY], None)

    assert [
        f"lost the connection to the user manager: {LOST.message}",
        "reconnected to the user manager",
    ] == err


def test_a_watch_prints_once_that_k3s_is_not_installed(capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = shown(capsys, [ABSENT, ABSENT, stopped()], None)

    assert [f"K3s: {ABSENT.message}", "K3s: not running"] == out[:2]
    assert 1 == sum(ABSENT.message in line for line in out)


def test_a_watch_prints_a_document_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    later = snapshot_with(time=NOW + timedelta(seconds=9), usage=Usage(memory=1))

    out, _ = shown(capsys, [ABSENT, ABSENT, READY, later, stopped()], "status")

    documents = [json.loads(line) for line in out]
    assert [None, "ready", "not running"] == [one.get("state") for one in documents]
    assert {"k3s-rootless/status/v1"} == {one["schema"] for one in documents}
    assert False is documents[0]["installed"]
