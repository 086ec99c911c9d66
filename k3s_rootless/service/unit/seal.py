"""Who wrote a file of the unit: decided by its content alone, without a record that could be lost.

The first line of each file that we write holds the SHA-256 of all that follows. So a file that we
wrote, and that was not changed since, differs from one that was edited or brought by the user.
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
    """Return the text with its first line, by which `author` recognises it."""
    return f"{_MARK}{digest(body)}\n{body}"


def author(text: str) -> Author:
    """Return who wrote this text."""
    mark, _, body = text.partition("\n")
    if not mark.startswith(_MARK):
        return Author.FOREIGN
    if mark.removeprefix(_MARK) == digest(body):
        return Author.OURS
    return Author.EDITED


def digest(body: str) -> str:
    """Return the SHA-256 of a text, in hexadecimal."""
    # Here, since its module loads OpenSSL, and most commands that read a unit need no hash.
    import hashlib

    return hashlib.sha256(body.encode("utf-8", "surrogateescape")).hexdigest()
