"""Tests of entering the namespaces of a real process, without a lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.child_namespaces import GROUP

ROOT = Path(__file__).parents[2]
ENTER = """
import os, sys
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import job
from k3s_rootless.node import entry
from k3s_rootless.node.facts import Invocation
pid, group, *argv = sys.argv[1:]
try:
    ended = entry.run(
        Invocation(tuple(argv), dict(os.environ), inside=True), int(pid), uid=os.getuid(),
        unit_group=group,
    )
except RootlessError as error:
    sys.exit(f"{type(error).__name__}: {error.message}")
if ended.signal:
    job.end_by(ended.signal)
sys.exit(ended.status)
"""


def entered(
    child: int, *words: str, group: str = GROUP, cwd: Path = ROOT, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", ENTER, str(child), group, *words],
        input=stdin,
        capture_output=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_a_program_is_in_all_namespaces_of_the_child(child: int) -> None:
    names = ("user", "mnt", "net", "pid")

    done = entered(child, "readlink", *(f"/proc/self/ns/{name}" for name in names))

    expected = [str(Path(f"/proc/{child}/ns/{name}").readlink()) for name in names]
    assert expected == done.stdout.decode().split()


def test_a_program_is_root_there_with_the_processes_of_the_namespace(child: int) -> None:
    done = entered(child, "sh", "-c", "id -u; cat /proc/1/comm; exit 3")

    assert (3, b"0\nsh\n") == (done.returncode, done.stdout)


def test_a_program_starts_in_the_directory_of_the_caller(child: int, tmp_path: Path) -> None:
    done = entered(child, "pwd", cwd=tmp_path)

    assert f"{tmp_path}\n" == done.stdout.decode()


def test_the_streams_are_passed_through(child: int) -> None:
    text = os.urandom(2**20)

    assert text == entered(child, "cat", stdin=text).stdout


def test_a_signal_ends_the_program_and_its_parent(child: int) -> None:
    assert -signal.SIGTERM == entered(child, "sh", "-c", "kill -TERM $$").returncode


def test_the_end_of_the_namespaces_is_reported(child: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", ENTER, str(child), GROUP, "sh", "-c", "echo ready; exec sleep 1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    ) as process:
        assert process.stdout
        assert b"ready\n" == process.stdout.readline()

        os.kill(child, signal.SIGKILL)

        _, errors = process.communicate()
    assert b"RootlessError: K3s stopped, and the program in its namespaces with it\n" == errors


def test_another_process_is_not_entered(child: int) -> None:
    done = entered(child, "true", group="/user.slice/k3s-rootless.service")

    assert b"is not in the control group of the unit" in done.stderr
    assert 1 == done.returncode
    assert b"is in the network namespace of the host" in entered(os.getpid(), "true").stderr


def test_a_process_that_has_ended_is_not_entered() -> None:
    with subprocess.Popen(["true"]) as ended:
        pass

    assert b"no such process" in entered(ended.pid, "true").stderr
