"""Tests of the journal of another machine, complete or damaged."""

from __future__ import annotations

import json
import struct
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k3s_rootless.errors import UsageError
from k3s_rootless.journal import diagnosis
from k3s_rootless.journal.sources.exported import Exported

FATAL = 'time="x" level=fatal msg="failed to find cpuset cgroup (v2)"'
UNIT = b"_SYSTEMD_USER_UNIT=k3s-rootless.service\n"


def binary(name: bytes, value: bytes) -> bytes:
    return name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"


def entry(message: bytes, invocation: bytes = b"a" * 32, *, unit: bytes = UNIT) -> bytes:
    head = (
        b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795469711695411\nPRIORITY=6\nSYSLOG_IDENTIFIER=k3s\n"
    )
    return (
        head
        + unit
        + b"_SYSTEMD_INVOCATION_ID="
        + invocation
        + b"\n"
        + binary(b"MESSAGE", message)
        + b"\n"
    )


START = (
    entry(b"Starting k3s")
    + entry(b"two\nlines \xff\x1b[31m")
    + entry(FATAL.encode())
    + entry(b"child died")
)


def written(directory: Path, content: bytes) -> Path:
    path = directory / "export"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("form", ["export", "json"])
def test_both_formats_show_the_cause(tmp_path: Path, form: str) -> None:
    record = {
        "MESSAGE": FATAL,
        "_SYSTEMD_USER_UNIT": "k3s-rootless.service",
        "_SYSTEMD_INVOCATION_ID": "a" * 32,
    }
    content = START if form == "export" else f"\n{json.dumps(record)}\n".encode()

    log = diagnosis.last_start(Exported(written(tmp_path, content)))

    assert log.cause is not None
    assert ("cgroup-controller", "a" * 32) == (log.cause.id, log.invocation)


def test_lines_of_other_units_are_skipped(tmp_path: Path) -> None:
    foreign = entry(FATAL.encode(), unit=b"_SYSTEMD_USER_UNIT=other.service\n")
    exported = Exported(written(tmp_path, foreign + entry(b"hello")))

    assert ["hello"] == [one.message for one in exported]
    assert 1 == exported.foreign


def test_a_truncated_file_raises_only_expected_errors(tmp_path: Path) -> None:
    for length in range(0, len(START), 7):
        path = written(tmp_path, START[:length])
        messages = None
        with suppress(UsageError):
            messages = [one.message for one in Exported(path)]
        assert length < 20 or messages is not None
        assert not messages or "Starting k3s".startswith(messages[0])


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_arbitrary_bytes_are_refused_or_read(tmp_path: Path, content: bytes) -> None:
    path = written(tmp_path, content)
    with suppress(UsageError):
        diagnosis.last_start(Exported(path))


@pytest.mark.parametrize("length", [2**63, 2**64 - 1, 50_000_000, 0])
def test_a_damaged_length_is_harmless(tmp_path: Path, length: int) -> None:
    content = (
        entry(b"hello") + b"MESSAGE\n" + struct.pack("<Q", length) + b"short\n\n" + entry(b"again")
    )

    messages = [one.message for one in Exported(written(tmp_path, content))]

    assert "hello" == messages[0]


def test_after_a_truncated_line_of_ten_megabytes_reading_continues(tmp_path: Path) -> None:
    content = entry(b"\xff" * 10_000_000) + entry(FATAL.encode())
    path = written(tmp_path, content)
    tracemalloc.start()
    messages = [one.message for one in Exported(path)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 2 == len(messages)
    assert 64 * 1024 == len(messages[0])
    assert FATAL == messages[1]
    assert peak < 20_000_000


@pytest.mark.parametrize(
    "content", [b"", b"\n\n\n", b"hello world\n", b"\x00" * 4096, b"{}x\n[1, 2]\n", b"{" * 9999]
)
def test_a_file_without_a_journal_is_refused_with_a_hint(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        list(Exported(written(tmp_path, content)))

    assert caught.value.hint is not None


@pytest.mark.parametrize("where", ["missing", "."])
def test_a_path_that_is_not_a_file_is_refused(tmp_path: Path, where: str) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        list(Exported(tmp_path / where))
