"""Protect the standard streams, so that an output error never interrupts a command.

A failed write is recorded instead of raised. This covers every way of printing (click, rich, Python
itself), each thread, and the flush of the streams when Python exits. The command continues. At its
end, the shell decides how the failure affects the exit code: see `failure`.
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
"""The name of the error handler for characters that a stream cannot encode."""
_PLAIN = {"\u2500": "-", "\u2026": "...", "\ufffd": "?"}
"""ASCII replacements of the non-ASCII characters in our own text."""

INTERRUPTED = 130
"""The exit code after an interrupt, as shells report SIGINT."""


def secure() -> None:
    """Replace stdin, stdout and stderr of this process; a closed one becomes /dev/null.

    Otherwise the next file to be opened would get the closed descriptor, and output would be
    written into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The kernel assigns the lowest free number. Programs that replace this process need the
            # descriptor as well.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003
    sys.stdin = sys.stdin or open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 (stays open)
    sys.stdout = _secured(1, sys.stdout)
    sys.stderr = _secured(2, sys.stderr)


def failure() -> OSError | None:
    """Flush stdout, and return why the answer could not be written; None for success.

    A pipe without a reader is not a failure: the reader has the lines that it needs.
    """
    stream = _stream()
    if stream is None:
        return None
    sys.stdout.flush()
    error = stream.failure
    return None if error is None or error.errno == errno.EPIPE else error


def end(code: object) -> None:
    """End the process with an exit code if Python would end with another one; else return.

    A daemon thread that runs while Python finalizes can crash it: of 40 interrupts of `bundle`
    under Python 3.11, one to four ended with SIGSEGV. Such a thread may also be about to start a
    program, which would keep running after this process. And `python -m` ends by SIGINT, with any
    exit code, once an interrupt has passed through exec(), which dataclasses use to create classes.
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
    """Return whether no reader will receive further output to stdout.

    The pipe or terminal is closed, or a write failed.
    """
    stream = _stream()
    if stream is not None and stream.failure is not None:
        return True
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False  # a stream in memory, for example in a test
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def is_broken() -> bool:
    """Return whether a write to stdout failed, without a system call."""
    stream = _stream()
    return stream is not None and stream.failure is not None


class _Stream(io.FileIO):
    """A descriptor with writes that never raise an error.

    The first failure is recorded, and later output is discarded.
    """

    failure: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        """Write all data, and return the number of processed bytes."""
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
        # Another program with the same pipe or terminal has made it non-blocking.
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        poll.poll()


def _secured(descriptor: int, before: TextIO | None) -> io.TextIOWrapper:
    encoding = (before.encoding if before is not None else None) or "utf-8"
    stream = _Stream(descriptor, "w", closefd=False)
    if descriptor == 2:
        # Unbuffered: an interrupt at the end of a write would leave the text in a buffer, and
        # Python would print it twice.
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
    """Replace characters that a stream cannot encode.

    In UTF-8 these are surrogates, in other encodings characters that the character set lacks.
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
