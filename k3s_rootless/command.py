"""Run other programs, with argument lists, a time limit, and errors that name the command.

All programs are started through this module.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import site
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from k3s_rootless import trust
from k3s_rootless.errors import CommandFailed

_running: set[subprocess.Popen[bytes]] = set()
_starting = threading.Lock()
_exiting = threading.Event()


@dataclass(frozen=True, slots=True)
class Output:
    """The output and exit status of a program (negative status: the signal that ended it)."""

    stdout: str
    stderr: str
    status: int

    @property
    def last_line(self) -> str:
        """The last line of stderr, or of stdout if stderr is empty: the cause of most failures."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return lines[-1] if lines else ""


def module(name: str) -> tuple[str, ...]:
    """Return the command that runs a module of this program in another process.

    Neither the working directory nor the environment of the user provides modules. A program that
    is installed among the user's own packages (`pip install --user`) still finds itself there.
    """
    isolated = "-I"
    if Path(__file__).is_relative_to(site.getusersitepackages()):
        isolated = "-EP"  # -I without -s, which excludes these packages
    return (sys.executable, isolated, "-m", name)


def run(args: Sequence[str], *, timeout: float, environ: Mapping[str, str] | None = None) -> Output:
    """Run a program until it ends, and return its output.

    `timeout` is in seconds. After it, the whole process group of the program is killed, so that no
    child of a wrapper is left. Bytes that are not valid UTF-8 are replaced. Raises CommandFailed if
    the program cannot be started or exceeds the timeout. The caller checks a non-zero exit status.
    """
    with _started(args, environ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            raise CommandFailed(f"`{_joined(args)}` did not finish within {timeout:g} s") from None
        return Output(_text(stdout), _text(stderr), process.returncode)


def feed(
    args: Sequence[str],
    produce: Callable[[Callable[[bytes], object]], None],
    *,
    timeout: float,
    environ: Mapping[str, str] | None = None,
) -> Output:
    """Run a program, and return its output; `produce` writes its input with the given function.

    The input ends early if the program closes it. `timeout` is in seconds, from the end of the
    input on. Raises CommandFailed as `run` does, and what `produce` raises; the program is then
    killed.
    """
    # Not pipes: they would not be read while the input is written.
    with (
        open(os.memfd_create("stdout"), "r+b") as stdout,  # noqa: PTH123
        open(os.memfd_create("stderr"), "r+b") as stderr,  # noqa: PTH123
        _started(args, environ, stderr, stdout=stdout, stdin=subprocess.PIPE) as process,
    ):
        if process.stdin is not None:
            with suppress(BrokenPipeError), process.stdin as written:
                produce(written.write)
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            raise CommandFailed(f"`{_joined(args)}` did not finish within {timeout:g} s") from None
        stdout.seek(0)
        stderr.seek(0)
        return Output(_text(stdout.read()), _text(stderr.read()), process.returncode)


def pieces(args: Sequence[str], size: int = 2**20) -> Iterator[bytes]:
    """Run a program and yield its output in pieces of at most `size` bytes, as `stream` does.

    Raises CommandFailed for each failure of the program, also without an error message.
    """
    with (
        open(os.memfd_create("stderr"), "r+b") as stderr,  # noqa: PTH123
        _started(args, None, stderr) as process,
    ):
        stdout: IO[bytes] | None = process.stdout
        if stdout is not None:
            yield from iter(lambda: stdout.read(size), b"")
        _require_success(process, stderr)
        if process.returncode:
            raise CommandFailed(f"`{_joined(args)}` failed with status {process.returncode}")


def stream(args: Sequence[str]) -> Iterator[bytes]:
    """Run a program and yield the lines of its output as they arrive.

    Closing the iterator kills the program and its children. Raises CommandFailed if the program
    cannot be started, fails with an error message, or is ended by a signal.
    """
    # Not a pipe: it would not be read meanwhile, and a program with many error messages would
    # block.
    with (
        open(os.memfd_create("stderr"), "r+b") as stderr,  # noqa: PTH123
        _started(args, None, stderr) as process,
    ):
        yield from _lines(process, stderr)


def replace(args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Replace this process by another program; returns only if it raises CommandFailed."""
    program = _program(args, environ)
    # Python ignores SIGPIPE, and the new program inherits this. Without the default action, it
    # would print an error when the reader of its output exits.
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execve(program, list(args), dict(environ))  # noqa: S606 (an argument list, no shell)
    except OSError as error:
        signal.signal(signal.SIGPIPE, before)
        raise CommandFailed(f"cannot run `{_joined(args)}`: {error.strerror}") from error


def become(args: Sequence[str], environ: Mapping[str, str]) -> None:
    """Replace this process by a program that the user named; as `replace` otherwise.

    The program is the first one in the PATH of `environ`, as a shell finds it.
    """
    before = signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvpe(args[0], list(args), dict(environ))  # noqa: S606 (an argument list, no shell)
    except (OSError, ValueError) as error:
        signal.signal(signal.SIGPIPE, before)
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandFailed(f"cannot run `{_joined(args)}`: {reason.lower()}") from error


def found(name: str, environ: Mapping[str, str] | None = None) -> tuple[str | None, str]:
    """Return the path of the program that `run` would start, and why another one was skipped.

    Only absolute entries of PATH count: a relative entry depends on the current directory. A
    program that a user other than root and the caller can change is skipped.
    """
    risky = ""
    variables = os.environ if environ is None else environ
    for directory in variables.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(directory, name)  # noqa: PTH118 (dozens of entries for each program)
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
    """Kill every program that is still running, with its children.

    These are programs of threads that no caller waits for any more. With `for_good`, no other
    program is started afterwards, because this process is about to exit.
    """
    with _starting:
        if for_good:
            _exiting.set()
        running = tuple(_running)
    for process in running:
        _kill_group(process)


def _lines(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> Iterator[bytes]:
    stdout: IO[bytes] | None = process.stdout
    if stdout is not None:
        yield from stdout
    _require_success(process, stderr)


def _require_success(process: subprocess.Popen[bytes], stderr: IO[bytes]) -> None:
    status = process.wait()
    command = _joined(map(str, process.args))  # type: ignore[arg-type]
    if status < 0:
        raise CommandFailed(f"`{command}` was terminated by signal {-status}")
    stderr.seek(0)
    message = _text(stderr.read()).strip() if status else ""
    if message:
        raise CommandFailed(f"`{command}` failed: {message.splitlines()[-1]}")


@contextmanager
def _started(
    args: Sequence[str],
    environ: Mapping[str, str] | None,
    stderr: IO[bytes] | int = subprocess.PIPE,
    *,
    stdout: IO[bytes] | int = subprocess.PIPE,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[subprocess.Popen[bytes]]:
    program = _program(args, environ)
    with _starting, _undisturbed():
        if _exiting.is_set():
            raise CommandFailed(f"cannot run `{_joined(args)}`: this process is exiting")
        try:
            process = subprocess.Popen(
                list(args),
                executable=program,
                stdin=stdin,
                stdout=stdout,
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
        why = f"it is not trusted because {risk}" if risk else os.strerror(errno.ENOENT)
        raise CommandFailed(f"cannot run `{_joined(args)}`: {why}")
    return path


@contextmanager
def _undisturbed() -> Iterator[None]:
    # An interrupt inside Popen would leave an unknown program running, in a session that the
    # terminal does not interrupt.
    before = signal.getsignal(signal.SIGINT)
    if (
        threading.current_thread() is not threading.main_thread()
        or before is not signal.default_int_handler
    ):
        yield
        return
    interrupts: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # The kernel does not reuse the number of the group before this process has waited for its
    # leader, whether the leader has ended or not.
    if process.returncode is None:
        with suppress(ProcessLookupError):  # another thread has just waited for it
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _joined(args: Sequence[str]) -> str:
    return shlex.join(args)


def _text(printed: bytes) -> str:
    return printed.decode("utf-8", "replace")
