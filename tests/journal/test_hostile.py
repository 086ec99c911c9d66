"""Tests with hostile journals: lines of 10 MB, and very many lines."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.journal import diagnosis
from k3s_rootless.journal.facts import Query
from k3s_rootless.journal.sources import journald
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
TEN_MEGABYTES = 10_000_000


def journal(directory: Path, script: str) -> str:
    program = directory / "journalctl"
    program.write_text(f"#!{sys.executable}\nimport json, sys\n{script}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "message",
    ["x" * TEN_MEGABYTES, '\\"\u00e4' * (TEN_MEGABYTES // 4), [255] * (TEN_MEGABYTES // 2)],
    ids=["letters", "escapes", "bytes"],
)
def test_a_line_of_ten_megabytes_is_truncated(message: Any) -> None:
    line = json.dumps({"PRIORITY": "3", "MESSAGE": message, "_PID": "7"}).encode()
    begun = time.process_time()

    entry = journald.parse(line)

    assert entry is not None
    assert (3, 7) == (entry.priority, entry.pid)
    assert 10_000 < len(entry.message) <= journald.LONGEST_MESSAGE
    assert time.process_time() - begun < PATIENCE


CHILD = """
import pathlib, re, sys
from k3s_rootless.journal import diagnosis
from k3s_rootless.journal.sources import journald as reader
from k3s_rootless.journal.facts import Query
with reader.read(Query(1000), journalctl=sys.argv[1]) as entries:
    log = diagnosis.last_start(entries)
# Not ru_maxrss: it begins with the memory of the process that started this one (getrusage(2)).
memory = re.search(r"VmHWM:\\s*([0-9]+) kB", pathlib.Path("/proc/self/status").read_text())[1]
print(log.lines, log.cause.id if log.cause else None, memory)
"""


def diagnosed(program: str) -> tuple[int, str, int]:
    run = subprocess.run(
        [sys.executable, "-c", CHILD, program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lines, cause, kibibytes = run.stdout.split()
    return int(lines), cause, int(kibibytes)


@pytest.mark.thorough
def test_a_hundred_times_the_lines_need_no_more_memory(tmp_path: Path) -> None:
    """An object kept for each line, even a small one, would take 3.4 MiB (36 bytes each)."""
    noise = json.dumps(
        {"MESSAGE": "I1123 21:35:11.953595 21 x.go:1] Waiting", "_SYSTEMD_INVOCATION_ID": "a" * 32}
    )
    few = journal(tmp_path, f"sys.stdout.write({noise + chr(10)!r} * 1000)")
    small = diagnosed(few)
    many = journal(tmp_path, f"for _ in range(100): sys.stdout.write({noise + chr(10)!r} * 1000)")
    large = diagnosed(many)

    assert (1000, 100_000) == (small[0], large[0])
    assert large[2] < small[2] + 2 * 1024


def test_a_panic_of_20000_lines_is_read_only_in_part(tmp_path: Path) -> None:
    script = (
        "print(json.dumps({'MESSAGE': 'panic: runtime error: nil pointer'}))\n"
        "for n in range(20000): print(json.dumps({'MESSAGE': f'goroutine {n} [select]:'}))"
    )
    with journald.read(Query(1000), journalctl=journal(tmp_path, script)) as entries:
        log = diagnosis.read_start(entries)

    assert log.cause is not None
    assert ("panic", 1) == (log.cause.id, log.lines)
