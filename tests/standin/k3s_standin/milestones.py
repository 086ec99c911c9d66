"""Times of the milestones of a start.

Tests measure with these times how soon a milestone is noticed.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

NAME = "standin-events.jsonl"


class Milestones:
    """Appends events to a file in the data directory, each with one write."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME

    def mark(self, event: str, **details: str) -> None:
        """Record that `event` happened now."""
        entry = {
            "event": event,
            "time": time.time(),
            "monotonic": time.monotonic(),
            "pid": os.getpid(),
            "invocation": os.environ.get("INVOCATION_ID"),
            **details,
        }
        data = (json.dumps(entry) + "\n").encode()
        try:
            descriptor = os.open(
                self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644
            )
        except OSError:
            # A full or read-only disk is a condition that tests produce; these records are not
            # under test.
            return
        try:
            os.write(descriptor, data)
        finally:
            os.close(descriptor)
