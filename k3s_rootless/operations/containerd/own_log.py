"""The lines of containerd's own log that show why it, or its CRI plugin, does not run."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from k3s_rootless.errors import CommandFailed
from k3s_rootless.journal.sources import log_file
from k3s_rootless.printable import printable

_LOG_BYTES = 1024 * 1024
_MOST_LINES = 5
_PROGRAM = "containerd"
_ERROR = re.compile(r'\berror="(?P<text>(?:[^"\\]|\\.)*)"')
_FAILURE = re.compile(
    r"^containerd: |level=fatal|Failure unmarshaling TOML|unknown key in TOML"
    # All other plugins can be missing: most hosts have no devmapper, for example.
    r"|failed to load plugin\b.*\bio\.containerd\.(grpc\.v1\.cri|cri\.v1\.)"
)


def failures(path: Path, started: datetime | None) -> Iterator[str]:
    """Yield the last lines since a start of K3s that show a failure; none if there is no log.

    The lines can contain secrets of the configuration.
    """
    try:
        start = max(0, path.stat().st_size - _LOG_BYTES)
    except OSError:
        return
    kept: deque[str] = deque(maxlen=_MOST_LINES)
    try:
        with log_file.Reading(path, _PROGRAM, start=start) as entries:
            for entry in log_file.since(entries, started):
                if _FAILURE.search(entry.message):
                    kept.append(printable(entry.message))
    except CommandFailed:
        return
    yield from kept


def reason(line: str) -> str:
    """Return the error in a line of logrus, or else the line."""
    found = _ERROR.search(line)
    if found is None:
        return line
    return found["text"].replace('\\"', '"')
