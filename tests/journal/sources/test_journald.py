from __future__ import annotations

import json
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.errors import CommandFailed, RootlessError, UsageError
from k3s_rootless.journal.facts import Entry, Query, Unowned
from k3s_rootless.journal.sources import journald
from tests.patience import PATIENCE

SAMPLE = Path(__file__).parents[2] / "data" / "journal-successful-start.jsonl"
INVOCATION = "c1885cfeb3ef48ae81eee01c9bcad20c"
QUERY = Query(uid=1000)


def journalctl(directory: Path, script: str) -> str:
    """Write a program that replaces journalctl and records its arguments and process id."""
    program = directory / "journalctl"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$@" > "{directory}/args"\necho $$ >'
        f' "{directory}/pid"\n{script}\n'
    )
    program.chmod(0o755)
    return str(program)


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def test_the_command_line_names_unit_user_and_fields() -> None:
    assert [
        "journalctl",
        "--quiet",
        "--no-pager",
        "--user-unit=k3s-rootless.service",
        "--output=json",
        "--all",
        (
            "--output-fields=MESSAGE,PRIORITY,_PID,SYSLOG_IDENTIFIER,"
            "_SYSTEMD_INVOCATION_ID,USER_INVOCATION_ID,USER_UNIT"
        ),
        "_UID=1000",
    ] == journald.arguments(QUERY)


def test_each_filter_is_one_argument() -> None:
    query = Query(
        1000,
        INVOCATION,
        lines=0,
        since="-1h",
        boot=True,
        follow=True,
        grep="--x y",
        after="s=1;i=2",
    )

    assert [
        "--output=json",
        "--all",
        (
            "--output-fields=MESSAGE,PRIORITY,_PID,SYSLOG_IDENTIFIER,"
            "_SYSTEMD_INVOCATION_ID,USER_INVOCATION_ID,USER_UNIT"
        ),
        "--lines=0",
        "--since=-1h",
        "--grep=--x y",
        "--after-cursor=s=1;i=2",
        "--boot",
        "--follow",
        "_UID=1000",
        f"_SYSTEMD_INVOCATION_ID={INVOCATION}",
        "+",
        "_UID=1000",
        f"USER_INVOCATION_ID={INVOCATION}",
    ] == journald.arguments(query, unit="other.service")[3:]


@pytest.mark.parametrize(
    "invocation", ["", "latest", INVOCATION.upper(), f"{INVOCATION}\n", f"{INVOCATION} +"]
)
def test_an_invalid_invocation_id_is_refused(invocation: str) -> None:
    with pytest.raises(UsageError):
        journald.arguments(Query(1000, invocation))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("plain", "plain"),
        ([27, 91, 51, 49, 109, 255], "\x1b[31m\ufffd"),
        (None, ""),
        ([], ""),
        (["first", [195, 164], None], "first\nä"),
        (7, ""),
        ([300], ""),
    ],
    ids=["text", "bytes", "too long", "no bytes", "given twice", "a number", "no byte"],
)
def test_a_message_can_have_several_json_forms(message: Any, expected: str) -> None:
    entry = journald.parse(line(MESSAGE=message))

    assert entry is not None
    assert expected == entry.message


def test_all_fields_of_an_entry_are_read() -> None:
    found = journald.parse(
        line(
            __REALTIME_TIMESTAMP="1795469711695411",
            __CURSOR="s=1",
            MESSAGE="hello",
            PRIORITY="6",
            _PID="5200",
            SYSLOG_IDENTIFIER="k3s",
            _SYSTEMD_INVOCATION_ID=INVOCATION,
        )
    )

    assert found == Entry(
        datetime(2026, 11, 23, 21, 35, 11, 695411, UTC), "hello", 6, 5200, "k3s", INVOCATION, "s=1"
    )


def test_a_line_of_the_manager_belongs_to_the_start_that_it_is_about() -> None:
    found = journald.parse(
        line(MESSAGE="Started", _SYSTEMD_INVOCATION_ID="f" * 32, USER_INVOCATION_ID=INVOCATION)
    )

    assert found is not None
    assert INVOCATION == found.invocation


@pytest.mark.parametrize(
    "fields",
    [{}, {"PRIORITY": "x", "_PID": None, "__REALTIME_TIMESTAMP": "9" * 19}, {"_PID": ["1", "2"]}],
)
def test_missing_or_invalid_fields_are_none(fields: dict[str, Any]) -> None:
    assert Entry(None, "") == journald.parse(line(**fields))


@pytest.mark.parametrize(
    "raw",
    [b"", b"-- No entries --\n", b"[1]", b"null", b'{"MESSAGE": "cut', b"[" * 100_000, b"\xff\xfe"],
)
def test_invalid_json_is_not_an_entry(raw: bytes) -> None:
    assert journald.parse(raw) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5
)
FIELDS = st.sampled_from(
    ["MESSAGE", "_PID", "PRIORITY", "__REALTIME_TIMESTAMP", "USER_INVOCATION_ID"]
)


@given(st.binary(max_size=200) | st.dictionaries(FIELDS, JSON).map(json.dumps).map(str.encode))
def test_no_line_stops_the_reader(raw: bytes) -> None:
    journald.parse(raw)


def test_entries_are_in_order_and_invalid_lines_are_counted(tmp_path: Path) -> None:
    program = journalctl(tmp_path, f"echo rubbish; cat {SAMPLE}; echo '[]'")

    with journald.read(QUERY, journalctl=program) as reading:
        entries = tuple(reading)

    assert len(entries) == len(SAMPLE.read_text().splitlines())
    assert entries[0].message.endswith('msg="Starting k3s v1.21.2+k3s1 (5a67e8dc)"')
    assert 2 == reading.skipped
    assert (tmp_path / "args").read_text().splitlines() == journald.arguments(QUERY)[1:]


def test_following_ends_when_the_reader_is_closed(tmp_path: Path) -> None:
    program = journalctl(tmp_path, """echo '{"MESSAGE": "one"}'; exec sleep 600""")

    with journald.read(Query(1000, follow=True), journalctl=program) as reading:
        assert "one" == next(iter(reading)).message
        pid = int((tmp_path / "pid").read_text())
        os.kill(pid, 0)

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    reading.close()


def test_no_entries_is_a_result_if_the_host_has_a_journal(tmp_path: Path) -> None:
    (tmp_path / "kept" / "0123456789abcdef").mkdir(parents=True)
    program = journalctl(tmp_path, "exit 1")

    with journald.read(
        QUERY, journalctl=program, kept_in=[tmp_path / "none", tmp_path / "kept"]
    ) as reading:
        assert () == tuple(reading)


def test_no_entries_is_an_error_if_the_host_has_no_journal(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    program = journalctl(tmp_path, "exit 0")

    with (
        journald.read(
            QUERY, journalctl=program, kept_in=[tmp_path / "none", tmp_path / "empty"]
        ) as reading,
        pytest.raises(RootlessError, match="this host does not store one") as caught,
    ):
        tuple(reading)

    assert "/var/log/journal" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        (
            "No journal files were opened due to insufficient permissions.",
            RootlessError,
            "cannot read the journal: permission denied",
        ),
        (
            "Failed to parse timestamp: rubbish",
            UsageError,
            "cannot read the journal: failed to parse timestamp: rubbish",
        ),
        (
            'Bad pattern "(": missing closing parenthesis',
            UsageError,
            'cannot read the journal: bad pattern "("',
        ),
        ("Something else", CommandFailed, "failed: Something else"),
    ],
)
def test_errors_of_journalctl_are_explained(
    tmp_path: Path, output: str, error: type[RootlessError], message: str
) -> None:
    program = journalctl(tmp_path, f"echo 'Hint: noise' >&2; echo '{output}' >&2; exit 1")

    with pytest.raises(error, match=re.escape(message)) as caught:
        journald.collect(QUERY, journalctl=program)

    assert type(caught.value) is error
    assert (caught.value.hint is not None) == (error is RootlessError)


def test_a_missing_journalctl_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="cannot run"):
        journald.collect(QUERY, journalctl=str(tmp_path / "journalctl"))


def test_the_real_journalctl_accepts_the_command_line() -> None:
    """The query can fail or find nothing, but journalctl must know all its options."""
    query = Query(
        os.getuid(), INVOCATION, lines=1, since="yesterday", boot=True, grep="x", after=None
    )
    try:
        done = subprocess.run(
            journald.arguments(query), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except FileNotFoundError:
        pytest.skip("this host has no journalctl")

    assert not re.search(r"unrecognized|invalid|Failed to (parse|add)", done.stderr), done.stderr


def test_lines_without_an_invocation_are_queried_by_name_and_time() -> None:
    """If the process of a line has already ended, journald records no unit and no invocation."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    unowned = Unowned("k3s", moment, moment + timedelta(seconds=9))

    arguments = journald.arguments(Query(1500, invocation="a" * 32, unowned=unowned))

    assert not any(argument.startswith("--user-unit") for argument in arguments)
    assert {f"--since=@{moment.timestamp():.6f}", f"--until=@{moment.timestamp() + 9:.6f}"} <= set(
        arguments
    )
    own = [
        "_UID=1500",
        f"_SYSTEMD_INVOCATION_ID={'a' * 32}",
        "+",
        "_UID=1500",
        f"USER_INVOCATION_ID={'a' * 32}",
    ]
    assert [*own, "+", "_UID=1500", "SYSLOG_IDENTIFIER=k3s", "_TRANSPORT=stdout"] == arguments[
        -len(own) - 4 :
    ]
