"""The copy of a datastore in a directory with the files of a backup: SQLite or etcd."""

from __future__ import annotations

from pathlib import Path

from k3s_rootless.backup import database, etcd, objects
from k3s_rootless.backup.contents import MEMBER, SNAPSHOT, SQLITE
from k3s_rootless.backup.facts import Datastore


def check(folder: Path, kind: Datastore) -> int | None:
    """Check the copy completely, and return its last revision; None if it is unknown.

    SQLite may change its files meanwhile. Raises RootlessError if it is damaged.
    """
    if kind is Datastore.SQLITE:
        return database.check(folder / SQLITE)
    if (folder / SNAPSHOT).exists():
        return etcd.check_snapshot(folder / SNAPSHOT)
    return etcd.check_database(folder / MEMBER)


def revision(folder: Path, kind: Datastore) -> int | None:
    """Return the last revision in the copy; None if it is unknown. Raises RootlessError."""
    if kind is Datastore.SQLITE:
        return database.revision(folder / SQLITE)
    return check(folder, kind)


def below(folder: Path, kind: Datastore, prefix: str) -> tuple[tuple[int, str, bytes], ...]:
    """Return row or revision, key and value of all objects with a prefix. Raises RootlessError.

    If etcd was killed, its database may lack the last moments, which are in its log.
    """
    if kind is Datastore.SQLITE:
        return objects.below(folder / SQLITE, prefix)
    if (folder / SNAPSHOT).exists():
        return etcd.below(folder / SNAPSHOT, prefix)
    return etcd.below(folder / MEMBER, prefix)
