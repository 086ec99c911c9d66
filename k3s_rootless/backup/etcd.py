"""Check and read copies of embedded etcd: a snapshot, or the files of a stopped member.

A snapshot is the database of etcd, followed by the SHA-256 of it, as the server sends it (etcd
server/etcdserver/api/v3rpc/maintenance.go). `etcdutl snapshot restore` and K3s compare the same
checksum (etcd etcdutl/snapshot/v3_snapshot.go, copyAndVerifyDB).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.backup import bolt
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import protobuf

if TYPE_CHECKING:
    from typing import IO

_BLOCK = 512
_DIGEST = hashlib.sha256().digest_size
_PIECE = 2**20
_KEYS = b"key"
"""The bucket with all revisions of all objects (etcd server/storage/schema/bucket.go)."""
_REVISION = 17
"""A revision is a number of 8 bytes, `_`, and another one; a `t` follows if a key was deleted."""
_TOMBSTONE = _REVISION + 1
_FIELD_KEY = 1
_FIELD_VALUE = 5
"""Fields of mvccpb.KeyValue (etcd api/mvccpb/kv.proto)."""


def check_snapshot(file: Path) -> int:
    """Check a snapshot completely, and return its last revision. Raises RootlessError."""
    try:
        with file.open("rb") as opened:
            length = _require_checksum(opened)
    except OSError as error:
        raise RootlessError(f"cannot read `{file}`: {atomic.reason(error)}") from error
    return _check(file, length)


def check_database(file: Path) -> int:
    """Check the database of a stopped member, and return its last revision.

    Raises RootlessError.
    """
    return _check(file, _size(file))


def below(file: Path, prefix: str) -> tuple[tuple[int, str, bytes], ...]:
    """Return revision, key and value of all objects with a prefix. Raises RootlessError."""
    found: dict[bytes, tuple[int, str, bytes]] = {}
    first = prefix.encode()
    try:
        with bolt.opened(file, _length(file)) as database:
            for revision, stored in _revisions(database):
                key = protobuf.first(stored, _FIELD_KEY)
                if not key.startswith(first):
                    continue
                found.pop(key, None)
                if len(revision) == _REVISION:
                    value = protobuf.first(stored, _FIELD_VALUE)
                    found[key] = (_number(revision), key.decode("utf-8", "replace"), value)
    except ValueError as error:
        raise _damaged(error) from error
    return tuple(found[key] for key in sorted(found))


def _check(file: Path, length: int) -> int:
    last = 0
    try:
        with bolt.opened(file, length) as database:
            for name, entries in database.buckets().items():
                for key, value in entries:
                    if name == _KEYS:
                        last = _number(_require_revision(key, value))
    except ValueError as error:
        raise _damaged(error) from error
    return last


def _require_revision(key: bytes, value: bytes) -> bytes:
    if len(key) not in {_REVISION, _TOMBSTONE} or key[8:9] != b"_":
        raise bolt.Damaged("it has a key that is no revision")
    if not protobuf.first(value, _FIELD_KEY):
        raise bolt.Damaged(f"revision {_number(key)} has no key")
    return key


def _revisions(database: bolt.Database) -> Iterator[tuple[bytes, bytes]]:
    entries = database.buckets().get(_KEYS, iter(()))
    for key, value in entries:
        yield _require_revision(key, value), value


def _number(revision: bytes) -> int:
    return int.from_bytes(revision[:8], "big")


def _require_checksum(file: IO[bytes]) -> int:
    """Compare the checksum at the end of a snapshot; return the size of the database before it."""
    size = file.seek(0, 2)
    if size % _BLOCK != _DIGEST:
        raise _damaged("it is no snapshot of etcd, or it is truncated: its checksum is missing")
    length = size - _DIGEST
    digest = hashlib.sha256()
    file.seek(0)
    left = length
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            raise _damaged("it became shorter")
        digest.update(piece)
        left -= len(piece)
    if file.read(_DIGEST) != digest.digest():
        raise _damaged("its content does not match the checksum at its end")
    return length


def _length(file: Path) -> int:
    """Return the size of the database in a file, which can be a snapshot."""
    size = _size(file)
    if size % _BLOCK == _DIGEST:
        return size - _DIGEST
    return size


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError as error:
        raise RootlessError(f"cannot read `{file}`: {atomic.reason(error)}") from error


def _damaged(why: object) -> RootlessError:
    return RootlessError(f"the datastore is damaged: {why}")
