"""The events of a download."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Arriving:
    """Bytes of a file that have arrived, and its size; None if the server did not name it."""

    name: str
    host: str
    received: int
    size: int | None


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file has arrived, or its download has ended."""

    name: str
