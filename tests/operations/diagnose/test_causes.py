"""Tests that a start is judged by systemd, the journal and the host, or by a log file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Phase, Record
from k3s_rootless.cli.display import diagnose
from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.diagnose import causes, document
from k3s_rootless.operations.diagnose.answer import Answer
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.paths import Paths
from tests.operations.status.k3s import INVOCATION, K3s

FATAL = 'level=fatal msg="failed to find cpuset cgroup (v2)"'
DATA = Path(__file__).parents[2] / "data/failed-starts"
EXIT = {"Result": ("s", "exit-code"), "ExecMainCode": ("i", 1), "ExecMainStatus": ("i", 203)}


def judged(k3s: K3s, since: str | None = None, *, stopped_too: bool = False) -> Answer:
    return causes.of_unit(k3s.context, since, stopped_too=stopped_too)


def test_a_ready_k3s_has_no_cause(k3s: K3s) -> None:
    k3s.runs()
    with k3s.rootlesskit(), k3s.api():
        answer = judged(k3s)

    assert (True, "", None, 0) == (answer.ready, answer.missing, answer.cause, answer.code)
    assert answer.earlier is None
    assert [] == k3s.events


def test_unfinished_work_is_part_of_the_answer(k3s: K3s) -> None:
    record = k3s.context.paths.transaction
    records.save(record, Record(Phase.PLACED, Path("/a"), ()))

    with pytest.raises(NotRunning, match="the restore of `/a` is not finished") as error:
        judged(k3s)
    assert "undo: k3s-rootless backup restore --abort" in (error.value.hint or "")

    k3s.says("level=info msg=hello", FATAL)
    k3s.is_("failed", "failed", Result=("s", "exit-code"))
    answer = judged(k3s)
    assert answer.unfinished
    assert document.document(answer)["unfinished"]["what"] == "backup restore"
    assert any(line.startswith("unfinished the restore") for line in diagnose.lines(answer))

    record.write_text("junk")
    assert judged(k3s).unfinished is None
    assert any("cannot parse" in event.text for event in k3s.events if isinstance(event, Notice))


def test_a_fatal_line_is_the_cause_of_a_failure(k3s: K3s) -> None:
    k3s.says("level=info msg=hello", FATAL)
    k3s.is_("failed", "failed", Result=("s", "exit-code"))

    answer = judged(k3s)

    assert answer.cause is not None
    assert ("cgroup-controller", FATAL) == (answer.cause.id, answer.cause.line)
    assert answer.cause.remedy is not None
    assert (1, INVOCATION) == (answer.code, answer.log.invocation)
    assert answer.ending is not None
    assert "exit-code" == answer.ending.result


def test_a_running_k3s_waits_for_something(k3s: K3s) -> None:
    k3s.says("level=info msg=hello")
    k3s.runs()

    answer = judged(k3s)

    assert (None, 4, False) == (answer.cause, answer.code, answer.ready)
    assert "rootlesskit" in answer.missing


def test_a_k3s_that_is_stopping_has_not_failed(k3s: K3s) -> None:
    k3s.is_("deactivating", "stop-sigterm")

    answer = judged(k3s)

    assert (3, "K3s is stopping") == (answer.code, answer.problem)


@pytest.mark.parametrize("stopped_too", [False, True])
def test_a_start_that_did_not_fail_is_not_diagnosed(k3s: K3s, *, stopped_too: bool) -> None:
    with pytest.raises(NotRunning, match="its last start did not fail"):
        judged(k3s, stopped_too=stopped_too)


def test_a_stopped_k3s_is_diagnosed_from_its_log(k3s: K3s) -> None:
    k3s.says(FATAL)

    answers = [judged(k3s, "1 hour ago"), judged(k3s, stopped_too=True)]

    assert ["cgroup-controller"] * 2 == [one.cause.id for one in answers if one.cause]


def test_a_unit_that_is_not_installed(k3s: K3s) -> None:
    k3s.bus.reset()

    with pytest.raises(NotRunning, match="not installed"):
        judged(k3s, "1 hour ago")


def test_a_unit_that_systemd_cannot_read_is_the_cause(k3s: K3s) -> None:
    broken = {"LoadState": ("s", "bad-setting"), "LoadError": ("(ss)", ["x", "bad ExecStart="])}
    k3s.is_("inactive", "dead", **broken)

    answer = judged(k3s)

    assert answer.cause is not None
    assert "unit-broken" == answer.cause.id
    assert "bad ExecStart=" in answer.cause.title


def refuse_the_journal(k3s: K3s) -> None:
    program = k3s.place / "bin/journalctl"
    program.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 1\n")


def test_systemd_alone_names_a_cause_without_the_journal(k3s: K3s) -> None:
    refuse_the_journal(k3s)
    k3s.is_("failed", "failed", **EXIT)

    answer = judged(k3s)

    assert answer.cause is not None
    assert "exec-failed" == answer.cause.id
    assert 0 == answer.log.lines
    (notice,) = notices(k3s.events)
    assert notice.endswith("; using only the state that systemd reports")


@pytest.mark.parametrize("since", [None, "1 hour ago"])
def test_without_the_journal_other_failures_raise_its_error(k3s: K3s, since: str | None) -> None:
    refuse_the_journal(k3s)
    k3s.is_("failed", "failed", Result=("s", "exit-code"))

    with pytest.raises(RootlessError, match="no such thing"):
        judged(k3s, since)


def test_a_journal_without_a_line_of_this_start_is_reported(k3s: K3s) -> None:
    (k3s.place / "journal").write_text("no entry\n")
    k3s.is_("failed", "failed", Result=("s", "exit-code"))

    answer = judged(k3s)

    assert (None, 1) == (answer.cause, answer.code)
    (notice,) = notices(k3s.events)
    assert "this user cannot read any line of this start in the journal" in notice


def notices(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(Paths(tmp_path, tmp_path, tmp_path, tmp_path), {}, 1000, "alice")


@pytest.mark.parametrize("file", sorted(DATA.glob("*.jsonl")), ids=lambda file: file.stem)
def test_a_file_of_another_machine_is_diagnosed(context: Context, file: Path) -> None:
    answer = causes.of_file(context, file)

    assert str(file) in answer.source
    assert answer.ending is None
    assert answer.log.cause == answer.cause


def test_invalid_lines_of_a_file_are_reported(context: Context, tmp_path: Path) -> None:
    events: list[Event] = []
    listening = Context(context.paths, {}, 1000, "alice", events.append)
    file = tmp_path / "journal"
    entry = json.dumps({"MESSAGE": FATAL, "USER_UNIT": "k3s-rootless.service"})
    file.write_text(f"{entry}\nrubbish\nmore rubbish\n")

    answer = causes.of_file(listening, file)

    assert answer.cause is not None
    assert 1 == answer.code
    assert [f"skipped 2 lines of {file} that are not journal entries"] == notices(events)


def test_a_file_without_a_journal_is_refused(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "journal"
    file.write_text("nothing of the kind\n")

    with pytest.raises(UsageError):
        causes.of_file(context, file)


def test_read_returns_the_document(k3s: K3s) -> None:
    k3s.says(FATAL)

    content: dict[str, Any] = document.read(k3s.context)

    assert "cgroup-controller" == content["cause"]["id"]
    assert False is content["ready"]
