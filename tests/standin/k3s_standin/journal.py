"""Journal of K3s: logrus' text format, klog lines, and rootlesskit's lines as K3s logs them."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from . import goparse

_BARE = re.compile(r"[A-Za-z0-9\-._/@^+]+")
# The command of rootlesskit adds a prefix to messages that its library, which K3s links, logs
# without one.
_DEATH = re.compile(r"\[rootlesskit:(?:parent|child ?)\] error: (?P<message>.*)", re.DOTALL)
_PREFIXED = re.compile(r'(msg=")\[rootlesskit:(?:parent|child) ?\] ')
_SELF = re.compile(r"command \[\S*python\S* (?:-\S+ )*k3s_standin ?")

_write_lock = threading.Lock()


def line(
    level: str, message: str, *, nanoseconds: bool = False, fields: dict[str, str] | None = None
) -> str:
    """Return one line of logrus' TextFormatter, without its newline."""
    now = time.time_ns()
    stamp = datetime.fromtimestamp(now // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{now % 1_000_000_000:09d}" if nanoseconds else ""
    extra = "".join(f" {key}={_value(value)}" for key, value in (fields or {}).items())
    return f'time="{stamp}{fraction}Z" level={level} msg={_value(message)}{extra}'


def klog(severity: str, source: str, message: str) -> str:
    """Return one line of klog, the logger of Kubernetes, as components inside K3s write it."""
    now = datetime.now(UTC)
    return f"{severity}{now:%m%d %H:%M:%S.%f} {os.getpid():>7} {source}] {message}"


def rewrite(text: str, *, nanoseconds: bool = False) -> str:
    """Return a line of rootlesskit in the form of K3s, which links rootlesskit as a library."""
    match = _DEATH.match(text)
    if match:
        message = _SELF.sub("command [/proc/self/exe ", match["message"])
        if message == "EOF":
            # rootlesskit's child logs this when its parent has ended; the release that K3s links
            # logs a longer message.
            message = "child died: parsing message from fd 3: EOF"
        return line("fatal", message, nanoseconds=nanoseconds)
    return _PREFIXED.sub(r"\1", text)


class Fatal(Exception):
    """Fatal error of K3s: its last message, the level, and the exit status."""

    def __init__(
        self, message: str, *, level: str = "fatal", code: int = 1, raw: bool = False
    ) -> None:
        super().__init__(message)
        self.message = message
        self.level = level
        self.code = code
        self.raw = raw


class Journal:
    """Writes log lines of one process to stderr.

    Each line is one write, so that lines of different threads never mix.
    """

    def __init__(self, *, nanoseconds: bool = False) -> None:
        self._nanoseconds = nanoseconds

    def info(self, message: str) -> None:
        """Log at level info."""
        self.log("info", message)

    def warning(self, message: str) -> None:
        """Log at level warning."""
        self.log("warning", message)

    def error(self, message: str) -> None:
        """Log at level error."""
        self.log("error", message)

    def log(self, level: str, message: str) -> None:
        """Log at any level."""
        self.raw(line(level, message, nanoseconds=self._nanoseconds))

    def die(self, fatal: Fatal) -> None:
        """Log the last message before the end."""
        if fatal.raw:
            self.raw(fatal.message)
        else:
            self.log(fatal.level, fatal.message)

    def raw(self, text: str) -> None:
        """Write a line that is already formatted."""
        data = (text + "\n").encode("utf-8", "surrogateescape")
        with _write_lock:
            while data:
                data = data[os.write(2, data) :]


class Rewriter:
    """Rewrites the lines of rootlesskit, each as soon as it is complete."""

    def __init__(self, write: Callable[[bytes], object], *, nanoseconds: bool) -> None:
        self._write = write
        self._nanoseconds = nanoseconds
        self._pending = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, and write the lines that are complete."""
        *complete, self._pending = (self._pending + chunk).split(b"\n")
        if complete:
            self._write(
                b"".join(_rewritten(item, nanoseconds=self._nanoseconds) for item in complete)
            )

    def finish(self) -> None:
        """Write the rest, which no newline ends."""
        if self._pending:
            self._write(_rewritten(self._pending, nanoseconds=self._nanoseconds))
            self._pending = b""


def _rewritten(item: bytes, *, nanoseconds: bool) -> bytes:
    text = item.decode("utf-8", "surrogateescape")
    return (rewrite(text, nanoseconds=nanoseconds) + "\n").encode("utf-8", "surrogateescape")


def _value(text: str) -> str:
    return text if _BARE.fullmatch(text) else goparse.quote(text)
