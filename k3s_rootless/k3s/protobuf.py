r"""Protobuf's wire format, as far as the objects in K3s's datastore need it.

Kubernetes stores an object as `k8s\0` and a message runtime.Unknown (apimachinery,
pkg/runtime/serializer/protobuf and pkg/runtime/generated.proto): its field 2 contains the object,
and its field 3 is empty unless the object is encoded further. A message is changed without knowing
all of its fields: all others are copied byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"k8s\x00"
OBJECT = 2
ENCODING = 3
"""Fields of runtime.Unknown."""
_LENGTH = 2
_FIXED = {1: 8, 5: 4}
"""The bytes of a field by its wire type, for types of fixed size."""
_INVALID = "an object is not in the protobuf format of Kubernetes"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message. `content` is None for a number, `whole` are all of its bytes."""

    number: int
    content: bytes | None
    whole: bytes


def fields(message: bytes) -> Iterator[Field]:
    """Yield the fields of a message. Raises ValueError if it is not one."""
    at = 0
    while at < len(message):
        start = at
        key, at = _number(message, at)
        kind = key & 7
        content = None
        if kind == _LENGTH:
            length, at = _number(message, at)
            content = message[at : at + length]
            at += length
        elif kind == 0:
            _, at = _number(message, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        else:
            raise ValueError(_INVALID)
        if at > len(message):
            raise ValueError("an object is truncated")
        yield Field(key >> 3, content, message[start:at])


def find(message: bytes, first: int, *rest: int) -> Iterator[bytes]:
    """Yield the content of each field at a path of field numbers. Raises ValueError."""
    for one in fields(message):
        if one.number == first and one.content is not None:
            if rest:
                yield from find(one.content, *rest)
            else:
                yield one.content


def first(message: bytes, *path: int) -> bytes:
    """Return the content of the field at a path; empty if there is none. Raises ValueError."""
    return next(find(message, *path), b"")


def stored(value: bytes) -> bytes:
    """Return the runtime.Unknown of a stored object. Raises ValueError for another format."""
    if not value.startswith(MAGIC):
        raise ValueError(_INVALID)
    unknown = value[len(MAGIC) :]
    if first(unknown, ENCODING):
        raise ValueError("an object is encoded in an unknown way")
    return unknown


def replaced(message: bytes, path: tuple[int, ...], content: bytes) -> bytes:
    """Return a message with other content of the field at a path.

    Raises ValueError if there is not exactly one such field.
    """
    if not path:
        return content
    number, *rest = path
    parts = []
    count = 0
    for one in fields(message):
        if one.number != number or one.content is None:
            parts.append(one.whole)
            continue
        count += 1
        new = replaced(one.content, tuple(rest), content)
        parts.append(_encoded(number << 3 | _LENGTH) + _encoded(len(new)) + new)
    if count != 1:
        raise ValueError(f"an object has {count} fields {number} instead of one")
    return b"".join(parts)


def _number(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            raise ValueError("an object is truncated")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ValueError(_INVALID)


def _encoded(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
