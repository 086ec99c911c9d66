"""A process in namespaces of its own, as rootlesskit's child, without a lab."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

GROUP = next(
    line.split(":", 2)[2]
    for line in Path("/proc/self/cgroup").read_text().splitlines()
    if line.count(":") >= 2
)
"""The control group of this process and its children, in the place of that of the unit."""
_OUTER = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork")
_SHELL = 'echo ready; while read -r line; do eval "$line"; echo "ended $?"; done'


@dataclass(frozen=True)
class Child:
    """The first process of its namespaces: a shell that runs one command a line."""

    pid: int
    process: subprocess.Popen[str]

    def run(self, command: str) -> str:
        """Run a command in the namespaces, and return its output; fail the test if it fails."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()
        printed: list[str] = []
        for line in self.process.stdout:
            if line.startswith("ended "):
                assert "ended 0\n" == line, "".join(printed)
                return "".join(printed)
            printed.append(line)
        raise AssertionError("the shell has ended")


@contextmanager
def opened() -> Iterator[Child]:
    """Yield such a process; skip the test if this host allows no user namespaces."""
    words = [*_OUTER, "--kill-child", "--mount-proc", "sh", "-c", _SHELL]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            pytest.skip("this host allows no user namespaces")
        pid = int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())
        yield Child(pid, process)
        process.kill()
