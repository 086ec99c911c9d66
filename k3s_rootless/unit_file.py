"""The syntax of systemd unit files: read lines, assignments and words, and quote words.

It follows systemd.syntax(7), systemd 247 to 262.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

BLANK = " \t\n\r"
_COMMENTS = ("#", ";")
_ESCAPE = re.compile(
    r"\\(?:(?P<letter>[abfnrtvs\\\"'])|x(?P<hex>[0-9a-fA-F]{2})|(?P<octal>[0-7]{3})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_QUOTED = {"\\": "\\\\", '"': '\\"', "%": "%%", "\n": "\\n", "\t": "\\t"}
_DELETE = 127


class Assignment(NamedTuple):
    """One line `name=value` of a section.

    `section` is without brackets, and empty before the first section.
    """

    section: str
    name: str
    value: str


def lines(text: str) -> Iterator[str]:
    """Yield the lines of a unit file, with continuation lines joined and outer blanks removed.

    Comments and empty lines are skipped. A backslash at the end of a line joins the next line with
    a blank; comments in between are skipped and do not end the continuation.
    """
    begun = ""
    for line in text.split("\n"):
        stripped = line.strip(BLANK)
        if stripped.startswith(_COMMENTS):
            continue
        whole = begun + line.rstrip("\r") if begun else stripped
        if _continues(whole):
            begun = f"{whole[:-1]} "
            continue
        begun = ""
        complete = whole.strip(BLANK)
        if complete:
            yield complete
    unfinished = begun.strip(BLANK)
    if unfinished:
        yield unfinished


def joined(text: str) -> str:
    """Return a text with each line that ends in a backslash joined with the next line.

    Unlike `lines`, this keeps comments: it is for searches, also in texts that are not unit files.
    """
    return text.replace("\\\n", " ")


def assignments(text: str) -> Iterator[Assignment]:
    """Yield the assignments of a unit file in order."""
    section = ""
    for line in lines(text):
        if line.startswith("["):
            section = line.removeprefix("[").removesuffix("]")
            continue
        name, equals, value = line.partition("=")
        if equals:
            yield Assignment(section, name.rstrip(BLANK), value.strip(BLANK))


def values(text: str, name: str, section: str = "Service") -> Iterator[str]:
    """Yield the value of each assignment to `name` in a section, in order."""
    for one in assignments(text):
        if one.section == section and one.name == name:
            yield one.value


def words(value: str) -> list[str] | None:
    """Split a value into words as systemd does; None for a line that systemd ignores.

    Quotes can be anywhere in a word, and C escapes everywhere.
    """
    found: list[str] = []
    word: str | None = None
    quote = ""
    at = 0
    while at < len(value):
        char = value[at]
        at += 1
        if char == "\\":
            escape = _ESCAPE.match(value, at - 1)
            if escape is None:
                return None
            word = (word or "") + _unescaped(escape)
            at = escape.end()
        elif char == quote:
            quote = ""
        elif quote:
            word = (word or "") + char
        elif char in "\"'":
            quote = char
            word = word or ""
        elif char in BLANK:
            if word is not None:
                found.append(word)
            word = None
        else:
            word = (word or "") + char
    if quote:
        return None
    if word is not None:
        found.append(word)
    return found


def quoted(word: str) -> str:
    """Return a word quoted and C-escaped for a unit file, with specifiers doubled.

    See systemd.syntax(7) and systemd.unit(5). `$` is unchanged: systemd expands it neither in
    `Environment=` nor in the path of the program (systemd 257, load-fragment.c). It expands
    `${NAME}` in argv[0], but K3s reads only the last part of argv[0].
    """
    return f'"{"".join(map(_escaped, word))}"'


def unreadable(char: str) -> bool:
    """Return whether systemd cannot read a unit file with this character.

    systemd ignores such a line and what follows it. The characters are surrogates (from a name that
    is not UTF-8) and Unicode's noncharacters (systemd 247 to 262).
    """
    return (
        0xD800 <= ord(char) <= 0xDFFF
        or 0xFDD0 <= ord(char) <= 0xFDEF
        or ord(char) & 0xFFFE == 0xFFFE
    )


def _continues(line: str) -> bool:
    return (len(line) - len(line.rstrip("\\"))) % 2 == 1


def _unescaped(escape: re.Match[str]) -> str:
    letter = escape["letter"]
    if letter:
        return _LETTERS.get(letter, letter)
    if escape["octal"]:
        return chr(int(escape["octal"], 8))
    number = int(escape["hex"] or escape["short"] or escape["long"], 16)
    return chr(number) if number < 0x110000 else ""


def _escaped(char: str) -> str:
    if char in _QUOTED:
        return _QUOTED[char]
    if ord(char) < 32 or ord(char) == _DELETE:
        return f"\\x{ord(char):02x}"
    return char
