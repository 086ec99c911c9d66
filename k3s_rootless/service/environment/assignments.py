"""Readers of environment assignments in unit files and environment files.

They follow systemd 247 to 262. The user manager reports the values, but not the file that assigns a
value; these readers find that file. They also read the drop-in of k3s-rootless, and the values that
an `EnvironmentFile=` assigns at the next start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from k3s_rootless.unit_file import BLANK, values, words

_SPECIFIER = re.compile(r"%(?P<kind>.?)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_INDENT = " \t\r"


def of_unit(text: str, key: str = "Environment") -> Iterator[dict[str, str | None] | None]:
    """Yield the assignments of each line `Environment=` in order, and None for an empty line.

    An empty line resets all assignments before it. A value is None if it contains a specifier such
    as `%h`, which only the user manager can resolve.
    """
    for line in values(text, key):
        if not line:
            yield None
            continue
        found: dict[str, str | None] = {}
        for word in words(line) or ():
            name, equals, value = word.partition("=")
            if equals and _NAME.fullmatch(name):
                found[name] = _plain(value)
        yield found


def of_drop_in(text: str) -> Mapping[str, str | None]:
    """Return the assignments that result from all lines of a text."""
    found: dict[str, str | None] = {}
    for line in of_unit(text):
        if line is None:
            found.clear()
        else:
            found |= line
    return found


def unset_by(text: str) -> Iterator[tuple[str, ...] | None]:
    """Yield the words of each line `UnsetEnvironment=` in order, and None for an empty one."""
    for line in values(text, "UnsetEnvironment"):
        if line:
            yield tuple(words(line) or ())
        else:
            yield None


def of_file(text: str) -> dict[str, str]:
    """Read an environment file by the rules of systemd.exec(5).

    Specifiers and C escapes are not expanded, and quotes count only at the beginning of a value.
    """
    found = {}
    rest = text.lstrip(BLANK)
    while rest:
        line, _, after = rest.partition("\n")
        name, equals, _ = line.partition("=")
        if equals and line[0] not in "#;":
            value, after = _file_value(rest[len(name) + 1 :])
            if _NAME.fullmatch(name.rstrip(BLANK)):
                found[name.rstrip(BLANK)] = value
        rest = after.lstrip(BLANK)
    return found


def _plain(value: str) -> str | None:
    if any(found["kind"] != "%" for found in _SPECIFIER.finditer(value)):
        return None
    return value.replace("%%", "%")


def _file_value(text: str) -> tuple[str, str]:
    """Read one value; return the value, and the text after its line."""
    value = ""
    rest = text.lstrip(_INDENT)
    while rest and rest[0] in "\"'":
        inside, rest = _quoted_part(rest[0], rest[1:])
        value += inside
        rest = rest.lstrip(_INDENT)
    bare, rest = _bare_part(rest)
    return value + bare, rest


def _quoted_part(quote: str, text: str) -> tuple[str, str]:
    """Read up to the closing quote; return the quoted text, and the text after the quote."""
    end = 0
    while end < len(text) and text[end] != quote:
        if quote == '"' and text[end] == "\\":
            end += 1
        end += 1
    inside, rest = text[:end], text[end + 1 :]
    if quote == '"':
        inside = re.sub(r"\\(.)", _unescaped, inside, flags=re.DOTALL)
    return inside, rest


def _bare_part(text: str) -> tuple[str, str]:
    """Read up to the end of the line; return that text, and the text after the line.

    Blanks at the end of the line are removed.
    """
    bare = ""
    kept = 0
    at = 0
    while at < len(text) and text[at] != "\n":
        if text[at] == "\\":
            # An escaped character is kept, even a blank at the end. An escaped newline joins two
            # lines.
            bare += text[at + 1 : at + 2].replace("\n", "")
            kept = len(bare)
            at += 2
            continue
        bare += text[at]
        if text[at] not in BLANK:
            kept = len(bare)
        at += 1
    return bare[:kept], text[at + 1 :]


def _unescaped(found: re.Match[str]) -> str:
    """Return the character of an escape in double quotes; keep all other backslashes."""
    char = found[1]
    if char == "\n":
        return ""
    if char in '"\\`$':
        return char
    return found[0]
