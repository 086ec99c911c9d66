"""How a file of the unit differs from what would be written now, as a unified diff that is the same
each time.
"""

from __future__ import annotations

import difflib

from k3s_rootless.service.facts import FoundFile
from k3s_rootless.service.unit import shipped
from k3s_rootless.service.unit.seal import Author, author

NOTHING = "/dev/null"


def between(found: FoundFile, text: str | None) -> str:
    """Give the diff from what is there to `text`, None for no file at all; empty where nothing
    would be written.

    Lines without a newline at the end, and those that end in another way (CRLF), are shown as they
    are.
    """
    if found.text == text or (
        found.text
        and text
        and not found.link
        and shipped.same(found.text, text)
        and _ours(found.text)
    ):
        return ""
    lines = difflib.unified_diff(
        _lines(found.text),
        _lines(text),
        NOTHING if found.text is None else str(found.path),
        NOTHING if text is None else f"{found.path} (k3s-rootless)",
    )
    return "".join(lines)


def line_of(text: str) -> str:
    """Return a line of a file as `between` shows it."""
    return text.replace("\r", "^M")


def _ours(text: str) -> bool:
    return author(text) is Author.OURS


def _lines(text: str | None) -> list[str]:
    if not text:
        return []
    lines = [line_of(line) + "\n" for line in text.split("\n")]
    # As diff(1) says it; `split` gives an empty last line where the text ends as it should.
    if text.endswith("\n"):
        return lines[:-1]
    return [*lines, "\\ No newline at end of file\n"]
