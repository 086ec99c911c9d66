"""The words of others, made safe for the terminal that they end up on."""

from __future__ import annotations

LONGEST = 300


def printable(text: str, longest: int = LONGEST) -> str:
    """Replace what does not print by U+FFFD, and cut what is longer than `longest` characters.

    Control characters, escape sequences and the marks that reorder text (Unicode's bidirectional controls) do not print;
    `str.isprintable` knows them all, since they are Cc, Cf, Cs, Co, Cn, Zl or Zp.
    """
    cut = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else "\ufffd" for char in cut)
