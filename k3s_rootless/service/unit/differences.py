"""How a file of the unit differs from what would be written now, as a reproducible unified diff."""

from __future__ import annotations

import difflib

from k3s_rootless.service.facts import FoundFile
from k3s_rootless.service.unit import shipped
from k3s_rootless.service.unit.seal import Author, author

NOTHING = "/dev/null"


def between(found: FoundFile, text: str | None) -> str:
    """Return the diff from a file to `text`, None for no file; empty if nothing would be written.

    Lines without a newline at the end, and those that end in another way (CRLF), are shown as they
    are.
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
    """Return a line of a file as `between` shows it."""
    return text.replace("\r", "^M")


def _is_kept(found: FoundFile, text: str | None) -> bool:
    """Return whether a file of ours has the same meaning as `text`, so that it is not rewritten."""
    if not found.text or not text or found.link:
        return False
    return shipped.same(found.text, text) and author(found.text) is Author.OURS


def _lines(text: str | None) -> list[str]:
    if not text:
        return []
    lines = [line_of(line) + "\n" for line in text.split("\n")]
    # As diff(1) prints it; `split` returns an empty last line where the text ends as it should.
    if text.endswith("\n"):
        return lines[:-1]
    return [*lines, "\\ No newline at end of file\n"]
