"""The standard streams. The work of a command is never interrupted by its own output.

A write that fails is remembered instead of raised, on each path by which text is printed (click,
rich, Python itself), in each thread, and also when Python flushes its streams at its end. The
command goes on, and the shell decides at the end what the failure means for the exit code: see
`failure`.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
import threading
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ERRORS = "k3s-rootless"
"""The name of the handler for characters that a stream cannot encode."""
_PLAIN = {"\u2500": "-", "\u2026": "...", "\ufffd": "?"}
"""Plain forms of the characters beyond ASCII that our own text has."""

INTERRUPTED = 130
"""The exit code after an interrupt, as a shell has it for SIGINT."""


def secure() -> None:
    """Take over stdin, stdout and stderr of this process; one that is closed becomes /dev/null.

    A closed descriptor would go to the next file that is opened, and what is printed would be
    written into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The kernel gives the lowest number that is free. Programs that replace this process
            # need it as well.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (stays)
    sys.stdout = _secured(1, sys.stdout)
    sys.stderr = _secured(2, sys.stderr)


def failure() -> OSError | None:
    """Flush stdout, and return why the answer could not be written; None if it was, or if its
    reader left.

    A pipe without a reader is no failure: the reader has what it needs.
    """
    stream = _stream()
    if stream is None:
        return None
    sys.stdout.flush()
    error = stream.failure
    return None if error is None or error.errno == errno.EPIPE else error


def end(code: object) -> None:
    """End the process with an exit code if Python would not end with it; else return.

    A daemon thread that runs while Python finalizes can crash it: of 40 interrupts of `bundle`
    under Python 3.11 one to four ended with SIGSEGV. Such a thread may be about to start a program,
    which would outlive this process. And `python -m` ends by SIGINT, whatever the exit code is,
    once an interrupt has passed through exec(), with which dataclasses are created.
    """
    threads = threading.active_count() > 1
    if not isinstance(code, int) or not (threads or code == INTERRUPTED):
        return
    if threads:
        from k3s_rootless import command

        command.end_all(for_good=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def is_unread() -> bool:
    """Return whether further output to stdout reaches no reader: the pipe or terminal is
    closed, or a write failed.
    """
    stream = _stream()
    if stream is not None and stream.failure is not None:
        return True
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False  # a stream in memory, as of a test
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def is_broken() -> bool:
    """Return whether a write to stdout failed, without a system call."""
    stream = _stream()
    return stream is not None and stream.failure is not None


class _Stream(io.FileIO):
    """A descriptor whose writes do not raise: the first failure is kept, and what follows it is
    dropped.
    """

    failure: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        """Write all of it, and return how many bytes are done with."""
        view = memoryview(data).cast("B")
        done = 0
        try:
            while self.failure is None and done < len(view):
                written = super().write(view[done:])
                if written is None:
                    self._wait()
                else:
                    done += written
        except OSError as error:
            self.failure = error
        return len(view)

    def _wait(self) -> None:
        # Another program that has the same pipe or terminal made it non-blocking.
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        poll.poll()


def _secured(descriptor: int, before: TextIO | None) -> io.TextIOWrapper:
    encoding = (before.encoding if before is not None else None) or "utf-8"
    stream = _Stream(descriptor, "w", closefd=False)
    if descriptor == 2:
        # Without a buffer: an interrupt that comes with the end of a write would leave the text in
        # it, and print it twice.
        return io.TextIOWrapper(stream, encoding=encoding, errors=ERRORS, write_through=True)
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        encoding=encoding,
        errors=ERRORS,
        line_buffering=os.isatty(descriptor),
    )


def _stream() -> _Stream | None:
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Stream) else None


def _substitute(error: UnicodeError) -> tuple[str, int]:
    """Replace what a stream cannot encode: in UTF-8 half characters, elsewhere what the
    locale's character set lacks.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    if codecs.lookup(error.encoding).name.startswith("utf"):
        return "\ufffd" * len(text), error.end
    return "".join(map(_plain, text)), error.end


def _plain(char: str) -> str:
    if "\ud800" <= char <= "\udfff":
        return "?"
    return _PLAIN.get(char) or char.encode("ascii", "backslashreplace").decode("ascii")


codecs.register_error(ERRORS, _substitute)
