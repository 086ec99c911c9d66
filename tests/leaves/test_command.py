from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import cast

import pytest

from k3s_rootless import command
from k3s_rootless.command import Output
from k3s_rootless.errors import CommandFailed
from tests.patience import PATIENCE


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def stream(*args: str) -> Iterator[bytes]:
    return command.stream(args)


def close(lines: Iterator[bytes]) -> None:
    cast("Generator[bytes, None, None]", lines).close()


def held(fifo: Path) -> bool:
    """Return whether any process has the pipe open for writing."""
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(reading, 1) != b""
    except BlockingIOError:
        return True
    finally:
        os.close(reading)


def all_gone(fifo: Path) -> bool:
    deadline = time.monotonic() + PATIENCE
    while held(fifo) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not held(fifo)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "held"
    os.mkfifo(path)
    return path


def test_output_and_status_of_a_program_are_returned() -> None:
    assert Output("out\n", "err\n", 3) == command.run(
        sh("echo out; echo err >&2; exit 3"), timeout=PATIENCE
    )


@pytest.mark.parametrize(
    ("stdout", "stderr", "line"),
    [
        ("done\n", "first\nwhy\n\n", "why"),
        ("first\nwhy\n", " \n", "why"),
        ("\n", "", ""),
    ],
    ids=["stderr", "stdout", "nothing"],
)
def test_the_last_line_has_the_cause(stdout: str, stderr: str, line: str) -> None:
    assert line == Output(stdout, stderr, 1).last_line


def test_a_signal_is_a_negative_status() -> None:
    assert Output("", "", -9) == command.run(sh("kill -9 $$"), timeout=PATIENCE)


def test_output_that_is_not_utf_8_is_replaced() -> None:
    assert Output("a\ufffdb", "\ufffd", 0) == command.run(
        sh(r"printf 'a\377b'; printf '\300' >&2"), timeout=PATIENCE
    )


def test_much_output_on_stdout_and_stderr_is_read() -> None:
    found = command.run(
        sh("head -c 3000000 /dev/zero & head -c 3000000 /dev/zero >&2; wait"), timeout=PATIENCE
    )

    assert (3_000_000, 3_000_000) == (len(found.stdout), len(found.stderr))


def test_a_program_has_nothing_to_read_and_a_session_of_its_own() -> None:
    assert Output("", "", 0) == command.run(["cat"], timeout=PATIENCE)
    ids, leader = command.run(
        sh("cut -d' ' -f5,6 /proc/$$/stat; echo $$"), timeout=PATIENCE
    ).stdout.splitlines()
    assert ids == f"{leader} {leader}"


def test_the_environment_is_the_given_one_or_that_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("K3S_ROOTLESS_MTU", "1400")

    assert "A=b\n" == command.run(["/usr/bin/env"], timeout=PATIENCE, environ={"A": "b"}).stdout
    assert "K3S_ROOTLESS_MTU=1400\n" in command.run(["/usr/bin/env"], timeout=PATIENCE).stdout


def test_arguments_are_not_interpreted_by_a_shell() -> None:
    assert (
        "$HOME; exit 3 a  b\n"
        == command.run(["echo", "$HOME; exit 3", "a  b"], timeout=PATIENCE).stdout
    )


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (
            ["/nonexistent/k3s", "--version"],
            "`/nonexistent/k3s --version`: No such file or directory",
        ),
        (["/"], "`/`: Permission denied"),
        (["/etc/passwd", "a b"], "`/etc/passwd 'a b'`: Permission denied"),
        (["/" + "x" * 5000], "File name too long"),
    ],
    ids=["missing", "directory", "not executable", "too long"],
)
def test_a_program_that_cannot_be_started_is_reported_as_a_command(
    args: list[str], why: str
) -> None:
    for start in (lambda: command.run(args, timeout=PATIENCE), lambda: list(command.stream(args))):
        with pytest.raises(CommandFailed) as caught:
            start()

        assert caught.value.message.startswith("cannot run `")
        assert caught.value.message.endswith(why)


@pytest.mark.parametrize(
    "script",
    [
        "sleep 240",
        "sleep 240 & sleep 240",
        "(sleep 240 | sleep 240) & wait",
        "trap '' TERM; sleep 240",
    ],
    ids=["itself", "its child", "its grandchildren", "who ignores SIGTERM"],
)
def test_a_slow_program_is_killed_with_its_children(fifo: Path, script: str) -> None:
    start = time.monotonic()

    with pytest.raises(CommandFailed, match=r"did not finish within 0\.2 s$"):
        command.run(sh(f"exec 9<>{fifo}; {script}"), timeout=0.2)

    assert all_gone(fifo)
    assert time.monotonic() - start < PATIENCE


def test_children_that_keep_the_pipe_are_killed(fifo: Path) -> None:
    """The leader of the process group has ended by then, but the group still exists."""
    with pytest.raises(CommandFailed, match="did not finish"):
        command.run(sh(f"exec 9<>{fifo}; sleep 240 & exit 0"), timeout=0.2)

    assert all_gone(fifo)


def test_a_child_that_closes_the_pipe_keeps_running(tmp_path: Path) -> None:
    script = f"(sleep 0.2; touch {tmp_path}/done) >/dev/null 2>&1 & echo started"

    assert "started\n" == command.run(sh(script), timeout=PATIENCE).stdout
    while not (tmp_path / "done").exists():
        time.sleep(0.02)


def test_lines_are_yielded_as_they_arrive(fifo: Path) -> None:
    lines = stream(*sh(f"echo one; cat {fifo}; echo last"))

    assert b"one\n" == next(lines)
    fifo.write_text("two\n")
    assert [b"two\n", b"last\n"] == list(lines)


def test_a_stream_keeps_bytes_and_a_last_line_without_end() -> None:
    assert [b"a\xff\n", b"\n", b"\0b"] == list(stream(*sh(r"printf 'a\377\n\n\0b'")))


def test_a_stream_starts_when_its_first_line_is_read(tmp_path: Path) -> None:
    lines = stream("touch", str(tmp_path / "started"))

    assert not (tmp_path / "started").exists()
    assert [] == list(lines)
    assert (tmp_path / "started").exists()


@pytest.mark.parametrize(
    "script",
    ["sleep 240", "sleep 240 & sleep 240", "trap '' TERM INT HUP; while :; do sleep 1; done"],
    ids=["itself", "its child", "who ignores signals"],
)
def test_closing_a_stream_ends_the_program_and_its_children(fifo: Path, script: str) -> None:
    lines = stream(*sh(f"exec 9<>{fifo}; echo up; {script}"))
    assert b"up\n" == next(lines)
    start = time.monotonic()

    close(lines)

    assert all_gone(fifo)
    assert time.monotonic() - start < PATIENCE


def test_a_program_with_much_stderr_does_not_block() -> None:
    script = "head -c 1000000 /dev/zero >&2; echo one; head -c 1000000 /dev/zero >&2; echo two"

    assert [b"one\n", b"two\n"] == list(stream(*sh(script)))


def test_a_failing_stream_yields_its_lines_and_then_its_last_error() -> None:
    lines = stream(*sh("echo one; echo first >&2; echo No such unit >&2; exit 1"))

    assert b"one\n" == next(lines)
    with pytest.raises(CommandFailed, match=r"` failed: No such unit$"):
        next(lines)


def test_a_failure_without_a_message_ends_the_stream() -> None:
    """`journalctl --grep` exits with 1 if no line matches."""
    assert [b"one\n"] == list(stream(*sh("echo one; exit 1")))


def test_stderr_of_a_successful_program_is_ignored() -> None:
    assert [b"one\n"] == list(stream(*sh("echo one; echo careful >&2")))


def test_a_stream_of_a_killed_program_is_an_error() -> None:
    lines = stream(*sh("echo one; kill -9 $$"))

    assert b"one\n" == next(lines)
    with pytest.raises(CommandFailed, match=r"was terminated by signal 9$"):
        next(lines)


def in_another_process(code: str) -> subprocess.CompletedProcess[str]:
    program = (
        f"from k3s_rootless import command\nfrom k3s_rootless.errors import CommandFailed\n{code}"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def test_a_program_is_fed_while_it_prints_much() -> None:
    text = os.urandom(2**20)

    def produce(write: Callable[[bytes], object]) -> None:
        for _ in range(3):
            write(text)

    done = command.feed(sh("tee /dev/stderr | wc -c; exit 4"), produce, timeout=PATIENCE)

    assert (f"{3 * 2**20}\n", 4) == (done.stdout, done.status)


def test_a_program_that_closes_its_input_ends_the_feeding() -> None:
    def produce(write: Callable[[bytes], object]) -> None:
        while True:
            write(bytes(2**20))

    assert 0 == command.feed(sh("exec <&-; echo done"), produce, timeout=PATIENCE).status


def test_a_program_is_killed_if_its_input_fails(fifo: Path) -> None:
    def produce(write: Callable[[bytes], object]) -> None:
        write(b"x")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        command.feed(sh(f"exec 3>{fifo}; cat; sleep 1000 & wait"), produce, timeout=PATIENCE)

    assert not held(fifo)


def test_a_fed_program_has_a_time_limit() -> None:
    def nothing(write: Callable[[bytes], object]) -> None:
        write(b"")

    with pytest.raises(CommandFailed, match=r"did not finish within 0\.1 s"):
        command.feed(sh("sleep 1000"), nothing, timeout=0.1)


def test_output_is_yielded_in_pieces() -> None:
    found = list(command.pieces(sh("head -c 100000 /dev/zero"), size=65536))

    assert 100_000 == sum(map(len, found))
    assert all(len(one) <= 65536 for one in found)


@pytest.mark.parametrize(
    ("script", "reason"), [("exit 3", "failed with status 3"), ("echo why >&2; exit 3", "why")]
)
def test_pieces_of_a_program_that_fails_are_an_error(script: str, reason: str) -> None:
    with pytest.raises(CommandFailed, match=reason):
        list(command.pieces(sh(f"echo x; {script}")))


def test_a_process_is_replaced_by_another_program() -> None:
    done = in_another_process(
        "command.replace(['sh', '-c', 'echo $A $#', 'sh', 'b c'], {'A': '1', 'PATH':"
        " '/bin:/usr/bin'})"
    )

    assert ("1 1\n", 0) == (done.stdout, done.returncode)


def test_a_program_that_cannot_replace_the_process_is_reported() -> None:
    code = (
        "try: command.replace(['/nonexistent/k3s', 'a b'], {})\nexcept CommandFailed as error:"
        " print(error)"
    )

    assert (
        "cannot run `/nonexistent/k3s 'a b'`: No such file or directory\n"
        == in_another_process(code).stdout
    )


def test_a_program_of_an_abandoned_thread_is_killed() -> None:
    failures: list[CommandFailed | int] = []
    thread = threading.Thread(
        target=lambda: failures.append(command.run(["sleep", "240"], timeout=200).status),
        daemon=True,
    )
    thread.start()
    deadline = time.monotonic() + PATIENCE
    while thread.is_alive() and time.monotonic() < deadline:
        command.end_all()
        thread.join(0.05)

    assert [-signal.SIGKILL] == failures


def test_a_module_of_a_program_among_the_users_packages_is_found(tmp_path: Path) -> None:
    """`pip install --user` puts the program in a directory that `-I` excludes."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    python = Path("/usr/bin/python3")
    if not python.exists():
        pytest.skip("no Python outside of a virtual environment")
    where = "import site; print(site.getusersitepackages(), end='')"
    own = Path(subprocess.check_output([python, "-c", where], env=environ, text=True))
    own.mkdir(parents=True)
    (own / "k3s_rootless").symlink_to(Path(command.__file__).parent)
    code = (
        "import subprocess; from k3s_rootless import command;"
        " raise SystemExit(subprocess.run(command.module('k3s_rootless.errors')).returncode)"
    )

    subprocess.run([python, "-c", code], env=environ, cwd=tmp_path, check=True)

    assert "-I" == command.module("k3s_rootless.errors")[1]
