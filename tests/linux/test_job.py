"""Tests of jobs on real terminals, under a real shell with job control."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
JOB = """
import os, sys
from k3s_rootless import command
from k3s_rootless.linux import job
ended = job.run(lambda: command.become(sys.argv[1:], os.environ))
if ended.signal:
    job.end_by(ended.signal)
sys.exit(ended.status)
"""
_PATIENCE = 30.0
_SHELL = ("bash", "--norc", "--noprofile", "--noediting", "-i")


def job(*words: str) -> list[str]:
    return [sys.executable, "-c", JOB, *words]


class Terminal:
    """A program on a terminal of its own, by default an interactive bash."""

    def __init__(self, directory: Path, words: Sequence[str] = _SHELL) -> None:
        self._pid, self._descriptor = pty.fork()
        if self._pid == 0:
            os.environ |= {"PS1": "ready> ", "PYTHONPATH": str(ROOT), "TERM": "dumb"}
            os.environ.pop("PROMPT_COMMAND", None)
            os.chdir(directory)
            os.execlp(words[0], *words)  # noqa: S606 (an argument list)
        self.seen = ""

    def type(self, text: str) -> None:
        os.write(self._descriptor, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._descriptor, termios.TIOCSWINSZ, size)

    def until(self, pattern: str) -> str:
        """Read until the output since the last call matches, and return it."""
        deadline = time.monotonic() + _PATIENCE
        while (found := re.search(pattern, self.seen)) is None:
            left = deadline - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.seen!r}"
            if select.select([self._descriptor], [], [], left)[0]:
                self.seen += os.read(self._descriptor, 4096).decode()
        before, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return before

    def close(self) -> int:
        """Hang up, as a closed window does, and return the exit status of the program."""
        os.close(self._descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    script = tmp_path / "job"
    script.write_text(f"#!{sys.executable}\n{JOB}")
    script.chmod(0o755)
    found = Terminal(tmp_path)
    found.until("ready> ")
    yield found
    found.close()


READABLE = {**os.environ, "PATH": "/usr/bin:/bin"}
"""Without directories of another user: not being allowed to search one is another failure."""


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("sh", "-c", "exit 7"), 7),
        (("true",), 0),
        (("no-such-program",), 127),
        (("/etc/passwd",), 126),
        (("sh", "-c", "kill -TERM $$"), -signal.SIGTERM),
        (("sh", "-c", "kill -KILL $$"), -signal.SIGKILL),
    ],
)
def test_the_exit_status_is_that_of_the_program(words: tuple[str, ...], status: int) -> None:
    done = subprocess.run(job(*words), capture_output=True, check=False, cwd=ROOT, env=READABLE)

    assert status == done.returncode


def test_a_program_that_cannot_be_run_is_named() -> None:
    done = subprocess.run(
        job("no-such-program"),
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        env=READABLE,
    )

    assert "error: cannot run `no-such-program`: no such file or directory\n" == done.stderr


def test_the_streams_are_those_of_the_caller() -> None:
    text = os.urandom(2**22)

    done = subprocess.run(job("cat"), input=text, capture_output=True, check=True, cwd=ROOT)

    assert text == done.stdout


def test_a_closed_pipe_ends_the_program_as_without_a_parent() -> None:
    with (
        subprocess.Popen(job("yes"), stdout=subprocess.PIPE, cwd=ROOT) as first,
        subprocess.Popen(["head", "-c", "2"], stdin=first.stdout, stdout=subprocess.PIPE) as last,
    ):
        assert first.stdout
        first.stdout.close()
        assert last.stdout
        assert b"y\n" == last.stdout.read()

    assert -signal.SIGPIPE == first.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_is_passed_on(number: signal.Signals) -> None:
    handler = f"trap 'echo got; exit 3' {int(number)}; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        job("sh", "-c", handler), stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        assert process.stdout
        assert "ready\n" == process.stdout.readline()

        process.send_signal(number)

        assert "got\n" == process.stdout.readline()
        assert 3 == process.wait()


def test_an_ignored_child_signal_is_kept_for_the_program() -> None:
    def ignore() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    done = subprocess.run(
        job("grep", "SigIgn", "/proc/self/status"),
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        preexec_fn=ignore,
    )

    assert 0 == done.returncode
    assert int(done.stdout.split()[1], 16) & 1 << (signal.SIGCHLD - 1)


def test_an_interrupt_on_the_terminal_ends_the_program(terminal: Terminal) -> None:
    terminal.type("./job sh -c 'echo be''gun; exec sleep 100'\n")
    terminal.until("begun")

    terminal.type("\x03")
    terminal.until("ready> ")
    terminal.type("echo status $?\n")

    terminal.until("status 130")


def test_a_program_that_handles_the_interrupt_gets_it_once(terminal: Terminal) -> None:
    program = "trap \"echo inter''rupted\" INT; echo be''gun; read line; read line; exit 5"
    terminal.type(f"./job bash -c '{program}'; echo status $?\n")
    terminal.until("begun")

    terminal.type("\x03")
    terminal.until("interrupted")
    terminal.type("\n\n")

    assert "interrupted" not in terminal.until("status 5")


def test_a_stopped_program_returns_the_terminal_and_continues(terminal: Terminal) -> None:
    terminal.type("./job sh -c 'echo be''gun; read line; echo got $line'\n")
    terminal.until("begun")

    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.until("ready> ")
    terminal.type("echo shell''works\n")
    terminal.until("shellworks")
    terminal.type("fg\n")
    terminal.until("got $line|job sh")
    terminal.type("hello\n")

    terminal.until("got hello")
    terminal.until("ready> ")


def test_a_program_in_the_background_stops_when_it_reads(terminal: Terminal) -> None:
    terminal.type("./job sh -c 'read line; echo got $line' &\n")
    terminal.until("ready> ")
    terminal.type("wait\n")
    terminal.until("Stopped")

    terminal.type("fg\n")
    terminal.until("job sh")
    terminal.type("hello\n")

    terminal.until("got hello")


def test_the_program_sees_the_size_of_the_terminal_change(terminal: Terminal) -> None:
    shown = "trap \"stty size; exit\" WINCH; echo be''gun; while :; do sleep 0.05; done"
    terminal.type(f"./job sh -c '{shown}'\n")
    terminal.until("begun")

    terminal.resize(33, 123)

    terminal.until("33 123")


def test_a_pipeline_keeps_the_terminal(terminal: Terminal) -> None:
    """The other program of the pipeline reads from the terminal."""
    other = "cat > /dev/null; read line < /dev/tty; echo other got $line"
    terminal.type(f"./job echo text | sh -c '{other}'\n")
    terminal.type("hello\n")

    terminal.until("other got hello")


def test_an_interactive_shell_gives_the_terminal_back(terminal: Terminal) -> None:
    terminal.type("./job bash --norc --noprofile --noediting -i\n")
    terminal.type("PS1='inner> '\n")
    terminal.until("inner> $|inner> ")
    terminal.type("sh -c 'echo be''gun; exec sleep 100'\n")
    terminal.until("begun")
    terminal.type("\x1a")
    terminal.until("Stopped")
    terminal.type("exit 6\n")
    terminal.until("There are stopped jobs")
    terminal.type("exit 6\n")
    terminal.until("ready> ")

    terminal.type("echo status $?\n")

    terminal.until("status 6")


def test_a_script_ends_at_the_interrupt_of_its_program(terminal: Terminal, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/bash\n./job sh -c 'echo be''gun; exec sleep 100'\necho went on\n")
    script.chmod(0o755)
    terminal.type("./script\n")
    terminal.until("begun")

    terminal.type("\x03")
    before = terminal.until("ready> ")
    terminal.type("echo status $?\n")

    terminal.until("status 130")
    assert "went on" not in before


def test_a_closed_terminal_ends_the_program_and_its_parent(tmp_path: Path) -> None:
    """Without a shell, as with `ssh -t HOST PROGRAM`."""
    script = "trap 'echo closed > closed; exit 7' HUP; echo be''gun; while :; do sleep 0.05; done"
    terminal = Terminal(tmp_path, job("sh", "-c", script))
    terminal.until("begun")

    assert 7 == terminal.close()
    assert "closed\n" == (tmp_path / "closed").read_text()


def test_a_program_that_no_shell_could_continue_is_not_stopped(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, job("sh", "-c", "echo be''gun; read line; echo got $line"))
    terminal.until("begun")

    terminal.type("\x1a")
    terminal.until(r"\^Z")
    terminal.type("hello\n")

    terminal.until("got hello")
    terminal.close()
