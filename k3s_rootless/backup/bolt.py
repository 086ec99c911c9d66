"""Read a database of bbolt, which etcd stores its data in, and check its pages.

The file consists of pages of one size. Page 0 or 1 (meta) leads to a tree of buckets: branch pages
refer to other pages by their first key, and leaf pages contain keys with values, or buckets.
Source: bbolt v1.3 and v1.4, internal/common (page.go, meta.go, bucket.go).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError

_PAGE = struct.Struct("<QHHI")
"""id, flags, number of elements, number of pages that follow and belong to this page."""
_META = struct.Struct("<IIIIQQQQQ")
"""magic, version, page size, flags, root page, sequence, free list, pages, transaction."""
_CHECKSUM = struct.Struct("<Q")
_BRANCH = struct.Struct("<IIQ")
"""position of the key, its size, page."""
_LEAF = struct.Struct("<IIII")
"""flags, position of the key, its size, size of the value, which follows the key."""
_BUCKET = struct.Struct("<QQ")
"""root page, sequence; if the root page is 0, a page follows."""

_MAGIC = 0xED0CDAED
_VERSION = 2
_IS_BRANCH = 0x01
_IS_LEAF = 0x02
_IS_META = 0x04
_SUB_BUCKET = 0x01
_PAGE_SIZES = frozenset(2**exponent for exponent in range(9, 17))
_DEEPEST = 64


class Damaged(ValueError):
    """The file is no database, or its pages do not belong together."""


class _Meta(NamedTuple):
    size: int
    root: int
    pages: int
    transaction: int


class Database:
    """A database that no process writes to. Each method raises Damaged."""

    def __init__(self, data: mmap.mmap, length: int) -> None:
        self._data = data
        self._length = length
        self._meta = self._newest_meta()
        if self._meta.pages * self._meta.size > length:
            raise Damaged("it is truncated: pages at its end are missing")
        self._seen: set[int] = set()

    def buckets(self) -> dict[bytes, Iterator[tuple[bytes, bytes]]]:
        """Return the buckets by name; each yields its keys in order, with their values.

        Reading all of them checks all pages. Each bucket can be read once.
        """
        found = {}
        for flags, name, value in self._tree(self._meta.root):
            if not flags & _SUB_BUCKET:
                raise Damaged("it has a key outside of all buckets")
            found[name] = self._bucket(value)
        return found

    def _bucket(self, header: bytes) -> Iterator[tuple[bytes, bytes]]:
        if len(header) < _BUCKET.size:
            raise Damaged("the header of a bucket is too short")
        root, _ = _BUCKET.unpack_from(header)
        elements = self._tree(root)
        if not root:
            elements = self._leaf(header, _BUCKET.size, len(header))
        for flags, key, value in elements:
            if flags & _SUB_BUCKET:
                raise Damaged("it has a bucket inside of a bucket")
            yield key, value

    def _tree(self, root: int) -> Iterator[tuple[int, bytes, bytes]]:
        last = None
        for element in self._page(root, 0):
            if last is not None and element[1] <= last:
                raise Damaged("its keys are not in order")
            last = element[1]
            yield element

    def _page(self, number: int, depth: int) -> Iterator[tuple[int, bytes, bytes]]:
        start, end, flags = self._header(number)
        if depth > _DEEPEST or number in self._seen:
            raise Damaged(f"page {number} is used twice")
        self._seen.add(number)
        if flags == _IS_LEAF:
            yield from self._leaf(self._data, start, end)
        elif flags == _IS_BRANCH:
            for child in self._children(start, end):
                yield from self._page(child, depth + 1)
        else:
            raise Damaged(f"page {number} is of an unexpected kind")

    def _header(self, number: int) -> tuple[int, int, int]:
        """Return the position of a page, its end, and its kind."""
        size = self._meta.size
        start = number * size
        if not 2 <= number < self._meta.pages:
            raise Damaged(f"page {number} does not exist")
        written, flags, _, overflow = _PAGE.unpack_from(self._data, start)
        if written != number or number + overflow >= self._meta.pages:
            raise Damaged(f"page {number} has a damaged header")
        return start, start + (1 + overflow) * size, flags

    def _children(self, start: int, end: int) -> Iterator[int]:
        for at in _elements(self._data, start, end, _BRANCH.size):
            position, size, child = _BRANCH.unpack_from(self._data, at)
            if at + position + size > end:
                raise Damaged("a key leaves its page")
            yield child

    def _leaf(
        self, data: bytes | mmap.mmap, start: int, end: int
    ) -> Iterator[tuple[int, bytes, bytes]]:
        left = end - start
        for at in _elements(data, start, end, _LEAF.size):
            flags, position, key_size, value_size = _LEAF.unpack_from(data, at)
            key = at + position
            value = key + key_size
            if value + value_size > end:
                raise Damaged("a value leaves its page")
            left -= key_size + value_size
            if left < 0:
                raise Damaged("the values of a page overlap")
            yield flags, data[key:value], data[value : value + value_size]

    def _newest_meta(self) -> _Meta:
        """Return the valid meta page of the last transaction; a transaction writes one of two."""
        found = [one for one in map(self._meta_at, self._meta_places()) if one is not None]
        if not found:
            raise Damaged("it is no database of etcd, or its first pages are damaged")
        return max(found, key=lambda one: one.transaction)

    def _meta_places(self) -> Iterator[int]:
        yield 0
        yield from sorted(_PAGE_SIZES)

    def _meta_at(self, start: int) -> _Meta | None:
        begin = start + _PAGE.size
        end = begin + _META.size
        if end + _CHECKSUM.size > self._length:
            return None
        _, flags, _, _ = _PAGE.unpack_from(self._data, start)
        magic, version, size, _, root, _, _, pages, transaction = _META.unpack_from(
            self._data, begin
        )
        if (magic, version, flags) != (_MAGIC, _VERSION, _IS_META) or size not in _PAGE_SIZES:
            return None
        if start not in {0, size}:
            return None
        (checksum,) = _CHECKSUM.unpack_from(self._data, end)
        if checksum != _fnv64a(self._data[begin:end]):
            return None
        return _Meta(size, root, pages, transaction)


@contextmanager
def opened(file: Path, length: int) -> Iterator[Database]:
    """Open the first `length` bytes of a file as a database. Raises Damaged, RootlessError."""
    try:
        with file.open("rb") as opened_file:
            if not length:
                raise Damaged("it is empty")
            with mmap.mmap(opened_file.fileno(), length, access=mmap.ACCESS_READ) as data:
                yield Database(data, length)
    except OSError as error:
        raise RootlessError(f"cannot read `{file}`: {atomic.reason(error)}") from error


def _elements(data: bytes | mmap.mmap, start: int, end: int, size: int) -> range:
    """Return the positions of the elements of a page."""
    first = start + _PAGE.size
    if first > end:
        raise Damaged("a page is too short")
    _, _, count, _ = _PAGE.unpack_from(data, start)
    last = first + count * size
    if last > end:
        raise Damaged("a page has too many elements")
    return range(first, last, size)


def _fnv64a(data: bytes) -> int:
    """Return the checksum FNV-1a of 64 bits."""
    found = 0xCBF29CE484222325
    for byte in data:
        found = ((found ^ byte) * 0x100000001B3) % 2**64
    return found
