"""How systemd reads assignments of environment variables out of unit files and environment files
(systemd 247 to 262).

The user manager is asked for values; this is for what it does not tell: which file an assignment
stands in. What is ours in a drop-in of ours is read in the same way, and so is what an
`EnvironmentFile=` will give to the next start.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from k3s_rootless.unit_file import BLANK, values, words

_SPECIFIER = re.compile(r"%(?P<kind>.?)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def of_unit(text: str, key: str = "Environment") -> Iterator[dict[str, str | None] | None]:
    """Give the assignments of each line `Environment=` in order, and None for an empty one, which
    takes back all before it.

    A value is None where a specifier such as `%h` stands in it, which only the manager knows.
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
    """Give what a whole text assigns in the end."""
    found: dict[str, str | None] = {}
    for line in of_unit(text):
        found = {} if line is None else found | line
    return found


def unset_by(text: str) -> Iterator[tuple[str, ...] | None]:
    """Give the words of each line `UnsetEnvironment=` in order, and None for an empty one."""
    for line in values(text, "UnsetEnvironment"):
        yield tuple(words(line) or ()) if line else None


def of_file(text: str) -> dict[str, str]:
    """Read an environment file by the rules of systemd.exec(5): no specifiers, no C escapes, quotes
    at the beginning alone.
    """
    found = {}
    rest = text
    while rest := rest.lstrip(BLANK):
        if rest[0] in "#;":
            rest = rest.partition("\n")[2]
            continue
        line, _, after = rest.partition("\n")
        name, equals, _ = line.partition("=")
        if not equals:
            rest = after
            continue
        value, rest = _file_value(rest[len(name) + 1 :])
        if _NAME.fullmatch(name.rstrip(BLANK)):
            found[name.rstrip(BLANK)] = value
    return found


def _plain(value: str) -> str | None:
    if any(found["kind"] != "%" for found in _SPECIFIER.finditer(value)):
        return None
    return value.replace("%%", "%")


def _file_value(rest: str) -> tuple[str, str]:
    """Read one value, and give what follows its line."""
    value, rest = "", rest.lstrip(" \t\r")
    while rest and rest[0] in "\"'":
        quote, rest = rest[0], rest[1:]
        end = 0
        while end < len(rest) and rest[end] != quote:
            end += 2 if quote == '"' and rest[end] == "\\" else 1
        inside, rest = rest[:end], rest[end + 1 :].lstrip(" \t\r")
        value += _unquoted(inside) if quote == '"' else inside
    bare, kept, at = "", 0, 0
    while at < len(rest) and rest[at] != "\n":
        if rest[at] == "\\":
            bare += rest[at + 1 : at + 2].replace("\n", "")
            at, kept = at + 2, len(bare)
            continue
        bare += rest[at]
        kept = kept if rest[at] in BLANK else len(bare)
        at += 1
    return value + bare[:kept], rest[at + 1 :]


def _unquoted(text: str) -> str:
    return re.sub(
        r"\\(.)",
        lambda one: one[1] if one[1] in '"\\`$' else "" if one[1] == "\n" else one[0],
        text,
        flags=re.DOTALL,
    )
