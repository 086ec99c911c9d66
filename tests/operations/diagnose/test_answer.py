"""Tests of an answer of `diagnose`: its exit code, its JSON and its text."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from k3s_rootless.cli.display import diagnose
from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.journal.facts import Cause, Ending, StartLog
from k3s_rootless.operations.diagnose.answer import WHERE_TO_ASK, Answer
from k3s_rootless.operations.diagnose.document import document, of_log

TIME = datetime(2026, 11, 20, 12, tzinfo=UTC)
REMEDY = Remedy(FixableBy.ADMINISTRATOR, "load the module", ("sudo modprobe tun",))
CAUSE = Cause(
    "tun",
    "device.tun",
    "no /dev/net/tun",
    "open: No such device",
    TIME,
    REMEDY,
    why="slirp4netns needs it",
    seen=("it is not there",),
    frames=("main.main()",),
)
UNKNOWN = Cause("unknown", "", "it broke", "level=fatal it broke", TIME, None)
OTHER = Cause("dns", "", "no DNS", "level=error dns", None, None)
NOTE = Cause("note", "", "a note", "level=warning note", None, None)
FAILED = Ending("loaded", "failed", "failed", "exit-code", code=1, status=1, changed=TIME)
RUNNING = Ending("loaded", "active", "running")
STOPPING = Ending("loaded", "deactivating", "stop-sigterm", changed=TIME)
STOPPED = Ending("loaded", "inactive", "dead")
JOURNAL = "the journal"


def answer(cause: Cause | None, ending: Ending | None, **more: Any) -> Answer:
    log = more.pop("log", StartLog(cause, invocation="a" * 32, lines=7))
    return Answer(cause, log, ending, JOURNAL, **more)


READY = answer(None, RUNNING, ready=True)
WAITING = answer(None, RUNNING, missing="node ready: no network")


@pytest.mark.parametrize(
    ("found", "code", "problem"),
    [
        (answer(CAUSE, FAILED), 1, CAUSE.title),
        (answer(CAUSE, STOPPING), 1, CAUSE.title),
        (answer(CAUSE, None), 1, CAUSE.title),
        (READY, 0, None),
        (answer(None, None), 0, None),
        (answer(None, STOPPING), 3, "K3s is stopping"),
        (WAITING, 4, "node ready: no network"),
        (answer(None, FAILED), 1, "K3s failed, but its journal does not show why"),
        (answer(None, STOPPED), 1, "K3s failed, but its journal does not show why"),
    ],
)
def test_the_exit_code_and_the_error(found: Answer, code: int, problem: str | None) -> None:
    errors = document(found)["errors"]

    assert code == found.code
    assert ([problem] if problem else []) == [one["message"] for one in errors]
    assert ([code] if problem else []) == [one["exit_code"] for one in errors]


def test_notes_count_only_if_something_is_wrong() -> None:
    log = StartLog(None, (OTHER,), (NOTE,) * 9)

    assert (OTHER,) == answer(None, RUNNING, ready=True, log=log).others
    assert (OTHER, *(NOTE,) * 5) == answer(None, FAILED, log=log).others
    assert (OTHER,) == answer(NOTE, FAILED, log=log).others


def test_the_document_has_all_of_a_cause() -> None:
    content = json.loads(json.dumps(document(answer(CAUSE, FAILED))))

    assert {
        "id": "tun",
        "check": "device.tun",
        "title": "no /dev/net/tun",
        "fatal": True,
        "line": "open: No such device",
        "time": TIME.isoformat(),
        "earlier": False,
        "frames": ["main.main()"],
        "seen": ["it is not there"],
        "why": "slirp4netns needs it",
        "remedy": {
            "fixable_by": "administrator",
            "text": "load the module",
            "commands": ["sudo modprobe tun"],
        },
        "documentation": "docs/reference/failures.md#tun",
    } == content["cause"]
    assert REMEDY.text == content["errors"][0]["hint"]
    assert ("failed", 1, 1, None) == tuple(
        content["unit"][name]
        for name in ("active_state", "exit_code", "exit_status", "seconds_between_restarts")
    )
    assert ("a" * 32, 7) == (content["invocation"], content["lines_read"])
    assert content["ask"] is None


def test_the_document_links_to_the_issues_for_an_unknown_cause() -> None:
    content = document(answer(UNKNOWN, FAILED))

    assert WHERE_TO_ASK == content["ask"]
    assert content["cause"]["documentation"] is None
    assert content["cause"]["remedy"] is None


def test_lines_without_systemd_do_not_show_whether_k3s_is_ready() -> None:
    content = of_log(StartLog(None, lines=3))

    assert (None, None, [], 3) == tuple(
        content[name] for name in ("ready", "unit", "errors", "lines_read")
    )


def text(found: Answer) -> list[str]:
    return list(diagnose.lines(found))


def stamp(cause: Cause) -> str:
    assert cause.time is not None
    return cause.time.astimezone().strftime("%b %d %H:%M:%S")


def test_the_text_of_a_cause() -> None:
    assert [
        "cause      no /dev/net/tun (tun, check device.tun)",
        f"evidence   {stamp(CAUSE)}  open: No such device",
        "frame      main.main()",
        "observed   it is not there",
        "why        slirp4netns needs it",
        "fix (administrator): load the module",
        "             $ sudo modprobe tun",
        "unit       failed (failed), result exit-code, exit status 1",
    ] == text(answer(CAUSE, FAILED))


def test_the_remedy_of_the_user_is_in_the_column_of_the_texts() -> None:
    remedy = Remedy(FixableBy.USER, "free the port")

    assert "fix        free the port" in text(answer(replace(CAUSE, remedy=remedy), FAILED))


def test_the_text_of_an_unknown_cause() -> None:
    killed = replace(FAILED, code=2, status=9, restarts=4, period=61.25, result="success")

    assert [
        "cause      unknown; the first fatal line of K3s is:",
        f"           {stamp(UNKNOWN)}  level=fatal it broke",
        f"next       read the lines before it with: k3s-rootless logs; ask at {WHERE_TO_ASK}",
        "unit       failed (failed), signal 9, 4 restarts, one every 61.2 s",
    ] == text(answer(UNKNOWN, killed))


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        (READY, ["no problem found: K3s is ready"]),
        (answer(None, None), ["no problem found in the journal"]),
        (
            answer(None, RUNNING, ready=True, earlier=OTHER),
            [
                "no problem found: K3s is ready",
                "earlier    the previous start failed: no DNS (dns)",
                "evidence   level=error dns",
            ],
        ),
        (
            WAITING,
            [
                (
                    "K3s is running but not ready, and the journal does not show why; it waits for"
                    " node ready: no network"
                ),
                "unit       active (running)",
            ],
        ),
        (
            answer(None, FAILED),
            [
                "K3s failed, but its journal does not show why",
                "next       read the log with: k3s-rootless logs",
                "unit       failed (failed), result exit-code, exit status 1",
            ],
        ),
        (
            answer(None, replace(STOPPING, changed=None)),
            [
                (
                    "stopping   K3s is stopping (stop-sigterm): systemd waits for its processes to"
                    " exit"
                ),
                "next       when K3s has stopped, start it with: k3s-rootless up",
            ],
        ),
    ],
)
def test_the_text_without_a_cause(found: Answer, lines: list[str]) -> None:
    assert lines == text(found)


@pytest.mark.parametrize(
    ("ending", "log", "missing", "line"),
    [
        (RUNNING, StartLog(None), "node: no", "next start K3s is running and waits for node: no"),
        (STOPPING, StartLog(None), "", "next start K3s is stopping"),
        (
            None,
            StartLog(None, recovered=True),
            "",
            "next start the journal shows that the API server became ready",
        ),
        (
            None,
            StartLog(None, recovered=False),
            "",
            "next start the journal does not show that the API server became ready",
        ),
    ],
)
def test_the_text_of_an_earlier_failure(
    ending: Ending | None, log: StartLog, missing: str, line: str
) -> None:
    earlier = replace(CAUSE, earlier=True)

    found = text(answer(earlier, ending, log=log, missing=missing))

    title = "earlier    an earlier start failed: no /dev/net/tun (tun, check device.tun)"
    assert title in found
    assert line in found


def test_the_text_of_other_causes_is_short() -> None:
    long = replace(OTHER, line="x" * 500)

    found = text(answer(CAUSE, None, log=StartLog(CAUSE, (long,))))

    assert ["also       no DNS (dns)", f"           {'x' * 200}"] == found[-2:]
