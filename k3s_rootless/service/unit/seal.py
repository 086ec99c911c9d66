"""Who wrote a file of the unit: told by its content alone, without a record of our own that could
be lost.

The first line of what we write carries the SHA-256 of all that follows. So a file that we wrote and
nobody touched can be told from one that somebody edited or brought along.
"""

from __future__ import annotations

from enum import Enum

_MARK = "# k3s-rootless sha256:"


class Author(Enum):
    """Who wrote the file that was found."""

    OURS = "written by k3s-rootless, and untouched since"
    EDITED = "written by k3s-rootless, and edited since"
    FOREIGN = "not written by k3s-rootless"


def sealed(body: str) -> str:
    """Give the text with its first line, by which `author` knows it again."""
    return f"{_MARK}{digest(body)}\n{body}"


def author(text: str) -> Author:
    """Tell who wrote this text."""
    mark, _, body = text.partition("\n")
    if not mark.startswith(_MARK):
        return Author.FOREIGN
    return Author.OURS if mark.removeprefix(_MARK) == digest(body) else Author.EDITED


def digest(body: str) -> str:
    """Give the SHA-256 of a text, in hexadecimal."""
    # Here, since its module loads OpenSSL, and most who ask for the text of a unit ask for no hash.
    import hashlib

    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()
