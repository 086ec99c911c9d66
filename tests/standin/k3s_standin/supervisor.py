"""Run rootlesskit as a child, and log its lines in the form of K3s.

K3s links rootlesskit as a library: the main process of the unit logs its lines and holds its lock.
Here, the main process runs the program, rewrites its lines, and ends after the last of them. If the
program itself were the main process, systemd could kill a filter before the last line was logged.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from .journal import Rewriter

_FORWARDED = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_LOCK = "lock"


def supervise(
    binary: str,
    command: list[str],
    environment: Mapping[str, str],
    *,
    state: Path,
    nanoseconds: bool,
) -> NoReturn:
    """Run rootlesskit to its end, then end in the same way."""
    # The open lock shows which state directory this K3s uses; rootlesskit takes the lock itself.
    os.open(state / _LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    reader, writer = os.pipe()
    # A signal that arrives before the fork must reach the child.
    signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    child = os.fork()
    if child == 0:
        _run(binary, command, environment, writer)
    os.close(writer)
    for number in _FORWARDED:
        signal.signal(number, lambda received, _: os.kill(child, received))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
    _end(_log_until_end(child, reader, nanoseconds=nanoseconds))


def _run(binary: str, command: list[str], environment: Mapping[str, str], writer: int) -> NoReturn:
    try:
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        os.execve(binary, command, environment)  # noqa: S606 (no shell is needed)
    finally:
        os._exit(127)


def _log_until_end(child: int, reader: int, *, nanoseconds: bool) -> int:
    """Log the lines until the child has ended; return its wait status.

    Processes of rootlesskit can outlive it and keep the pipe open, so the end of the pipe is not
    the end of the child.
    """
    lines = Rewriter(lambda data: os.write(2, data), nanoseconds=nanoseconds)
    os.set_blocking(reader, False)
    ended = os.pidfd_open(child)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    poll.register(ended, select.POLLIN)
    while ended not in [ready for ready, _ in poll.poll()]:
        if not _read(reader, lines):
            # All writers have closed the pipe, and poll would report that at once each time.
            poll.unregister(reader)
    _, status = os.waitpid(child, 0)
    while _read(reader, lines):
        pass
    lines.finish()
    return status


def _read(reader: int, lines: Rewriter) -> bool:
    """Read what the pipe holds; return whether that was anything."""
    try:
        chunk = os.read(reader, 65536)
    except BlockingIOError:
        return False
    lines.feed(chunk)
    return bool(chunk)


def _end(status: int) -> NoReturn:
    """End with the exit status, or the signal, with which the child ended."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status))
