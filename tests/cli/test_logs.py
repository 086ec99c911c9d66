"""Tests that `logs` uses constant memory for very long logs, with any options."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.thorough

ROOT = Path(__file__).parents[2]
MANY, FEW = 60_000, 1_000
LITTLE = 1536
"""KiB; an object that is kept for each line takes 2,100 KiB or more (36 bytes each)."""
ENTRY = {
    "SYSLOG_IDENTIFIER": "k3s",
    "PRIORITY": "6",
    "_SYSTEMD_INVOCATION_ID": "a" * 32,
    "__CURSOR": "s=1;i=2",
}
WRITER = """
import json, sys
for n in range(int(open({count!r}).read())):
    message = f"E1123 21:35:11.953595 21 x.go:1] waiting, turn {{n}}"
    print(json.dumps({entry!r} | {{"MESSAGE": message}}))
"""
CHILD = """
import resource, subprocess, sys
command = [sys.executable, "-m", "k3s_rootless", *sys.argv[1:]]
tool = subprocess.Popen(command, stdout=subprocess.PIPE)
lines = sum(1 for _ in tool.stdout)
assert 0 == tool.wait()
print(lines, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with a journalctl that prints the number of lines in the file `count`."""
    program = tmp_path / "journalctl"
    program.write_text(
        f"#!{sys.executable}\n{WRITER.format(count=str(tmp_path / 'count'), entry=ENTRY)}"
    )
    program.chmod(0o755)
    return tmp_path


def shown(place: Path, count: int, *args: str) -> tuple[int, int]:
    """Return the number of printed lines, and the memory of the larger program in KiB."""
    (place / "count").write_text(str(count))
    environ = {
        "PATH": f"{place}:/usr/bin:/bin",
        "XDG_RUNTIME_DIR": str(place),
        "HOME": str(place),
        "LANG": "C.UTF-8",
    }
    command = [sys.executable, "-c", CHILD, "logs", "--since", "yesterday", *args]
    done = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    lines, kibibytes = done.stdout.split()
    return int(lines), int(kibibytes)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "args", [(), ("--json",), ("--level", "error", "-n", "5")], ids=["text", "json", "last"]
)
def test_memory_does_not_grow_with_the_journal(place: Path, args: tuple[str, ...]) -> None:
    few, many = shown(place, FEW, *args), shown(place, MANY, *args)

    assert (few[0], many[0]) == ((5, 5) if "-n" in args else (FEW, MANY))
    assert many[1] < few[1] + LITTLE


def test_equal_lines_are_counted(place: Path) -> None:
    (place / "journalctl").write_text(
        f"#!/bin/sh\nfor n in 1 2 3; do echo '{json.dumps(ENTRY | {'MESSAGE': 'again'})}'; done\n"
    )

    assert 2 == shown(place, 0)[0]
