"""Make text from other programs safe to print on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from datetime import datetime

LONGEST = 300


def require_printable(text: str) -> str:
    """Return a value for a script that root runs, unchanged.

    Raises RootlessError if it contains a character that `printable` would replace: a newline,
    another control character, an escape sequence, or a byte that is not UTF-8.
    """
    if text.isprintable():
        return text
    raise RootlessError(
        f"cannot write the script: {text!a} contains a control character",
        hint="rename that file, user or setting, then run the command again",
    )


def printable(text: str, longest: int = LONGEST) -> str:
    """Replace unprintable characters by U+FFFD, and cut the text to `longest` characters.

    Control characters, escape sequences and the marks that reorder text (Unicode's bidirectional
    controls) are unprintable. `str.isprintable` covers all of them: their categories are Cc, Cf,
    Cs, Co, Cn, Zl or Zp.
    """
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return (
        cut
        if cut.isprintable()
        else "".join(char if char.isprintable() else "\ufffd" for char in cut)
    )


def json_text(document: str) -> str:
    """Return a JSON document with every unprintable character escaped; its content is the same.

    `json.dumps` escapes only characters below U+0020, but a terminal interprets U+009B like ESC [.
    """
    if document.isascii() and "\x7f" not in document:
        return document
    return "".join(
        char if char == "\n" or char.isprintable() else _escaped(char) for char in document
    )


def _escaped(char: str) -> str:
    # RFC 8259, section 7: characters above U+FFFF are escaped as a pair of surrogates.
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def printable_lines(text: str) -> str:
    """Replace unprintable characters but keep lines; expand tabs, which Go panics contain."""
    return "\n".join(printable(line, len(line)) for line in text.expandtabs(4).split("\n"))


def json_time(time: datetime | None) -> str | None:
    """Return a time as JSON documents have it (ISO 8601)."""
    return None if time is None else time.isoformat()
