"""Read and change objects in a copy of K3s's datastore that no process uses.

kine keeps a row for each revision of an object, and the last one counts (its pkg/drivers/generic).
An API server reads all objects again when it starts, so that a changed row needs no new revision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from k3s_rootless.backup import database
from k3s_rootless.errors import RootlessError

_LIVE = (
    "SELECT id, name, value FROM kine WHERE deleted = 0 AND id IN "
    "(SELECT max(id) FROM kine WHERE name >= ? AND name < ? GROUP BY name)"
)
_LAST = "\x7f"
_WRITTEN_AGAIN = (
    "/registry/persistentvolumes/",
    "/registry/events/",
    "/registry/minions/",
    "/registry/k3s.cattle.io/addons/",
    "/registry/configmaps/kube-system/local-path-config",
)
"""Objects that K3s writes again, that expire, or that a restore changes."""


def below(file: Path, prefix: str) -> tuple[tuple[int, str, bytes], ...]:
    """Return row, key and value of all objects with a prefix. Raises RootlessError."""
    return tuple(_live(file, prefix, prefix + _LAST))


def containing(found: Iterable[tuple[int, str, bytes]], texts: Iterable[str]) -> tuple[str, ...]:
    """Return the keys of those objects that contain one of these paths.

    Objects that K3s writes again are left out.
    """
    either = b"|".join(re.escape(text.encode("utf-8")) for text in texts)
    pattern = re.compile(b"(?:" + either + rb")(?![A-Za-z0-9._-])")
    return tuple(
        key
        for _, key, value in found
        if not key.startswith(_WRITTEN_AGAIN) and pattern.search(value)
    )


def change(file: Path, values: Mapping[int, bytes]) -> None:
    """Replace the values of rows. Raises RootlessError."""
    sqlite = database.module()
    try:
        with closing(database.opened(sqlite, file, "rw")) as found:
            for row, value in values.items():
                found.execute("UPDATE kine SET value = ? WHERE id = ?", (value, row))
            found.commit()
            # One file without a log, whatever the mode of the copy was.
            found.execute("PRAGMA journal_mode = DELETE")
    except sqlite.Error as error:
        raise RootlessError(f"cannot change the copy of the datastore: {error}") from error


def _live(file: Path, first: str, end: str) -> Iterator[tuple[int, str, bytes]]:
    sqlite = database.module()
    try:
        with closing(database.opened(sqlite, file, "ro")) as found:
            if not database.has_objects(found):
                return
            for row, key, value in found.execute(_LIVE, (first, end)):
                yield int(row), str(key), bytes(value or b"")
    except (sqlite.Error, TypeError, ValueError) as error:
        raise RootlessError(f"cannot read the copy of the datastore: {error}") from error
