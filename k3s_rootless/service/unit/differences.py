"""Differences between a file of the unit and the text that would be written now.

The result is a reproducible unified diff.
"""

from __future__ import annotations

import difflib

from k3s_rootless.service.facts import FoundFile
from k3s_rootless.service.unit import shipped
from k3s_rootless.service.unit.seal import Author, author

NOTHING = "/dev/null"


def between(found: FoundFile, text: str | None) -> str:
    """Return the diff from a file to `text`; empty if nothing would be written.

    A `text` of None means no file. Missing newlines at the end of a file and other line ends (CRLF)
    are shown.
    """
    if found.text == text or _is_kept(found, text):
        return ""
    before = NOTHING
    if found.text is not None:
        before = str(found.path)
    after = NOTHING
    if text is not None:
        after = f"{found.path} (k3s-rootless)"
    lines = difflib.unified_diff(_lines(found.text), _lines(text), before, after)
    return "".join(lines)


def line_of(text: str) -> str:
    """Return a line of a file in the form that `between` prints."""
    return text.replace("\r", "^M")


def _is_kept(found: FoundFile, text: str | None) -> bool:
    """Return whether a file has the same meaning as `text` and was written by k3s-rootless.

    Such a file is not rewritten.
    """
    if not found.text or not text or found.link:
        return False
    return shipped.same(found.text, text) and author(found.text) is Author.OURS


def _lines(text: str | None) -> list[str]:
    if not text:
        return []
    lines = [line_of(line) + "\n" for line in text.split("\n")]
    # The form is that of diff(1). `split` returns an empty last line if the text ends with a
    # newline.
    if text.endswith("\n"):
        return lines[:-1]
    return [*lines, "\\ No newline at end of file\n"]
