"""The one door to other programs: argument lists, a time limit, and failures that can be pasted."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from k3s_rootless import trust
from k3s_rootless.errors import CommandFailed

_running: set[subprocess.Popen[bytes]] = set()
_starting = threading.Lock()
_over = threading.Event()


@dataclass(frozen=True, slots=True)
class Output:
    """What a program printed, and its exit status (negative: the signal that ended it)."""

    stdout: str
    stderr: str
    status: int


def run(args: Sequence[str], *, timeout: float, environ: Mapping[str, str] | None = None) -> Output:
    """Run a program to its end and return what it printed; output that is not UTF-8 is replaced,
    not refused.

    `timeout` is in seconds; the program's whole process group is killed when it is up, so that a
    wrapper that forked leaves nothing behind. Raises CommandFailed when the program cannot be
    started or is too slow; a non-zero status is the caller's.
    """
    with _started(args, environ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            raise CommandFailed(f"`{_joined(args)}` gave no answer within {timeout:g} s") from None
        return Output(_text(stdout), _text(stderr), process.returncode)


def stream(args: Sequence[str]) -> Iterator[bytes]:
    """Run a program and yield its lines as they come; closing the iterator ends the program, and
    what it started.

    Raises CommandFailed when the program cannot be started, complains and fails, or is ended by a
    signal.
    """
    # Not a pipe: nobody empties it meanwhile, and a program that complains at length would stand
    # still.
    with (
        open(os.memfd_create("stderr"), "r+b") as complaints,  # noqa: PTH123
        _started(args, None, complaints) as process,
    ):
        yield from _lines(process, complaints)


def replace(args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Become another program; returns only by raising CommandFailed."""
    program = _program(args, environ)
    # Python ignores SIGPIPE, and a program inherits that: it would print an error when the reader
    # of its output leaves.
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execve(program, list(args), dict(environ))  # noqa: S606 (an argument list, no shell)
    except OSError as error:
        signal.signal(signal.SIGPIPE, before)
        raise CommandFailed(f"cannot run `{_joined(args)}`: {error.strerror}") from error


def found(name: str, environ: Mapping[str, str] | None = None) -> tuple[str | None, str]:
    """Return the path of the program that `run` would start, and why another one was passed over.

    Only absolute entries of PATH count: a relative one is the directory in which the user happens
    to be. A program that a user other than root and the caller could change is passed over.
    """
    risky = ""
    variables = os.environ if environ is None else environ
    for directory in variables.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory, name)  # noqa: PTH118 (dozens of entries, for each program)
        if not directory.startswith("/") or not os.access(path, os.X_OK):
            continue
        if os.path.isdir(path):  # noqa: PTH112
            continue
        risk = trust.risk(Path(path))
        if not risk:
            return path, risky
        risky = risky or risk
    return None, risky


def end_all(*, for_good: bool = False) -> None:
    """End every program that still runs, and what it started: those of threads that nobody waits
    for any more.

    With `for_good`, no other is started afterwards either: this process is about to end.
    """
    with _starting:
        if for_good:
            _over.set()
        running = tuple(_running)
    for process in running:
        _kill_group(process)


def _lines(process: subprocess.Popen[bytes], complaints: IO[bytes]) -> Iterator[bytes]:
    stdout: IO[bytes] | None = process.stdout
    if stdout is not None:
        yield from stdout
    status = process.wait()
    asked = _joined(map(str, process.args))  # type: ignore[arg-type]
    if status < 0:
        raise CommandFailed(f"`{asked}` was ended by signal {-status}")
    complaints.seek(0)
    complaint = _text(complaints.read()).strip() if status else ""
    if complaint:
        raise CommandFailed(f"`{asked}` failed: {complaint.splitlines()[-1]}")


@contextmanager
def _started(
    args: Sequence[str],
    environ: Mapping[str, str] | None,
    stderr: IO[bytes] | int = subprocess.PIPE,
) -> Iterator[subprocess.Popen[bytes]]:
    program = _program(args, environ)
    with _starting, _undisturbed():
        if _over.is_set():
            raise CommandFailed(f"cannot run `{_joined(args)}`: this program is ending")
        try:
            process = subprocess.Popen(
                list(args),
                executable=program,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(environ) if environ is not None else None,
                start_new_session=True,
            )
        except OSError as error:
            raise CommandFailed(f"cannot run `{_joined(args)}`: {error.strerror}") from error
        _running.add(process)
    with process:
        try:
            yield process
        except BaseException:
            _kill_group(process)
            raise
        finally:
            _running.discard(process)


def _program(args: Sequence[str], environ: Mapping[str, str] | None) -> str:
    if "/" in args[0]:
        return args[0]
    path, risk = found(args[0], environ)
    if path is None:
        why = f"it is not trusted, since {risk}" if risk else os.strerror(errno.ENOENT)
        raise CommandFailed(f"cannot run `{_joined(args)}`: {why}")
    return path


@contextmanager
def _undisturbed() -> Iterator[None]:
    # An interrupt inside of Popen would leave a program behind that nobody knows of, in a session
    # that no terminal interrupts.
    before = signal.getsignal(signal.SIGINT)
    if (
        threading.current_thread() is not threading.main_thread()
        or before is not signal.default_int_handler
    ):
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # Ended or not, as long as nobody has waited for the leader the number of its group is given to
    # no one else.
    if process.returncode is None:
        with suppress(ProcessLookupError):  # another thread has waited for it just now
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _joined(args: Sequence[str]) -> str:
    return shlex.join(args)


def _text(printed: bytes) -> str:
    return printed.decode("utf-8", "replace")
