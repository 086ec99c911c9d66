"""Expansion of environment variables in a command line, as systemd does it.

Source: systemd.service(5), "Command lines"; systemd 247 to 262.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from k3s_rootless.unit_file import words

_WHOLE = re.compile(r"\$(?P<name>(?![{$]).*)", re.DOTALL)
_PART = re.compile(r"\$(?:\$|\{(?P<name>[^}]*)\})")


def expanded(argv: Sequence[str], value: Callable[[str], str]) -> Iterator[str]:
    """Yield the words of the command line with all variables replaced.

    `value` returns the value of a variable, or an empty text if the variable is not set. `${NAME}`
    is replaced inside a word. In a word that begins with `$`, the whole rest is the name of a
    variable, and the value of this variable is split at blanks: `$HOME/x` therefore results in no
    word. The first word is the program, and is not changed.
    """

    def part(found: re.Match[str]) -> str:
        name = found["name"]
        return "$" if name is None else value(name)

    for number, word in enumerate(argv):
        whole = _WHOLE.fullmatch(word)
        if number == 0 or "$" not in word:
            yield word
        elif whole is not None:
            text = value(whole["name"])
            yield from words(text) or text.split()
        else:
            yield _PART.sub(part, word)


def named(argv: Sequence[str]) -> frozenset[str]:
    """Return the names of the variables that a command line contains."""
    found = (one for word in argv[1:] for one in (_WHOLE.fullmatch(word), *_PART.finditer(word)))
    return frozenset(one["name"] for one in found if one is not None and one["name"])
