"""The lines of containerd's own log that show why it, or its CRI plugin, does not run."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING

from k3s_rootless.errors import CommandFailed
from k3s_rootless.journal.sources import log_file
from k3s_rootless.node.containerd import settings
from k3s_rootless.operations.containerd.place import PROGRAM
from k3s_rootless.printable import printable
from k3s_rootless.support.redaction.redact import Redactor

if TYPE_CHECKING:
    from k3s_rootless.operations.containerd.place import Files, Place

_LOG_BYTES = 1024 * 1024
_MOST_LINES = 5
_ERROR = re.compile(r'\berror="(?P<text>(?:[^"\\]|\\.)*)"')
_FAILURE = re.compile(
    r"^containerd: |level=fatal|Failure unmarshaling TOML|unknown key in TOML"
    # All other plugins can be missing: most hosts have no devmapper, for example.
    r"|failed to load plugin\b.*\bio\.containerd\.(grpc\.v1\.cri|cri\.v1\.)"
)


def failures(files: Files) -> tuple[str, ...]:
    """Return the last lines since the start of K3s that show a failure; none if there is no log.

    Secrets of the configuration are replaced.
    """
    redactor = Redactor(settings.secrets(settings.merged(files.parts)))
    return tuple(map(redactor.line, _failures(files.place)))


def _failures(place: Place) -> deque[str]:
    kept: deque[str] = deque(maxlen=_MOST_LINES)
    try:
        start = max(0, place.log.stat().st_size - _LOG_BYTES)
    except OSError:
        return kept
    try:
        with log_file.Reading(place.log, PROGRAM, start=start) as entries:
            for entry in log_file.since(entries, place.state.started):
                if _FAILURE.search(entry.message):
                    kept.append(printable(entry.message))
    except CommandFailed:
        return deque()
    return kept


def reason(line: str) -> str:
    """Return the error in a line of logrus, or else the line."""
    found = _ERROR.search(line)
    if found is None:
        return line
    return found["text"].replace('\\"', '"')
