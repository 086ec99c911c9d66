"""Read what a copy keeps of an open file besides its status: attributes, and where its data are."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from k3s_rootless.backup.volumes import headers
from k3s_rootless.backup.volumes.members import LONGEST_HEADER, MOST_SEGMENTS, shown
from k3s_rootless.backup.volumes.records import Segments
from k3s_rootless.errors import RootlessError

_WITHOUT_VALUE = frozenset((errno.ENODATA, errno.EOVERFLOW))
"""Errors for an attribute that was removed, and for a capability that root of the host has set.

A user cannot set such a capability again (user_namespaces(7)).
"""


def attributes(descriptor: int, path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the extended attributes that are kept. Raises OSError, RootlessError."""
    found = []
    try:
        names = [one for one in os.listxattr(descriptor) if headers.is_kept(one)]
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return ()
        raise
    for name in sorted(names):
        try:
            found.append((os.fsencode(name), os.getxattr(descriptor, name)))
        except OSError as error:
            if error.errno not in _WITHOUT_VALUE:
                raise
    if sum(len(key) + len(value) for key, value in found) > LONGEST_HEADER // 2:
        raise RootlessError(f"cannot copy `{shown(path)}`: its attributes are too long")
    return tuple(found)


def segments(descriptor: int, found: os.stat_result) -> Segments | None:
    """Return the parts of a file that contain data; None if it has no holes."""
    if found.st_blocks * 512 >= found.st_size:
        return None
    segments = []
    for one in _data(descriptor, found.st_size):
        segments.append(one)
        if len(segments) > MOST_SEGMENTS:
            return None
    if segments == [(0, found.st_size)]:
        return None
    return tuple(segments)


def _data(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while end < size:
        try:
            start = os.lseek(descriptor, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return  # the rest is a hole
            yield end, size - end  # this file system does not show holes
            return
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if end > start:
            yield start, end - start
