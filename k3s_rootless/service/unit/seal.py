"""Author of a file of the unit, determined from its content alone.

The first line of each file that k3s-rootless writes contains the SHA-256 of the rest. A file that
k3s-rootless wrote and that was not changed since therefore differs from an edited file, and from a
file that the user supplied. There is no separate record that could be lost.
"""

from __future__ import annotations

from enum import Enum

_MARK = "# k3s-rootless sha256:"


class Author(Enum):
    """Author of a file that was read."""

    OURS = "written by k3s-rootless and not edited since"
    EDITED = "written by k3s-rootless and edited since"
    FOREIGN = "not written by k3s-rootless"


def sealed(body: str) -> str:
    """Return the text with a first line from which `author` recognises it."""
    return f"{_MARK}{digest(body)}\n{body}"


def author(text: str) -> Author:
    """Return the author of this text."""
    mark, _, body = text.partition("\n")
    if not mark.startswith(_MARK):
        return Author.FOREIGN
    if mark.removeprefix(_MARK) == digest(body):
        return Author.OURS
    return Author.EDITED


def digest(body: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    # Imported here because hashlib loads OpenSSL, and most commands that read a unit need no hash.
    import hashlib

    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()
