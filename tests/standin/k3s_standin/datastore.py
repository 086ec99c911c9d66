"""Datastore: an SQLite file that K3s opens through kine.

K3s retries each second while the file cannot be read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from . import kept, kine
from .journal import Journal

_SECONDS = 1.0


def open_(data_dir: Path, version: str, journal: Journal, sleep: Callable[[float], None]) -> None:
    """Open the datastore, and create it if it does not exist.

    Stores which release has started. Returns when the datastore can be read, however long that
    takes.
    """
    while True:
        try:
            kine.keep_release(kept.database(data_dir), version)
        except sqlite3.DatabaseError as error:
            journal.error(f"Failed to ping database connection: {error}")
            sleep(_SECONDS)
        else:
            return
