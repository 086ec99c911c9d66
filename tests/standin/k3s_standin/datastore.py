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


def open_(data_dir: Path, journal: Journal, sleep: Callable[[float], None]) -> None:
    """Open the datastore, and create it if it does not exist.

    Returns when the datastore can be read, however long that takes.
    """
    while True:
        try:
            with kine.opened(kept.database(data_dir)):
                return
        except sqlite3.DatabaseError as error:
            journal.error(f"Failed to ping database connection: {error}")
            sleep(_SECONDS)
