"""How systemd puts environment variables into a command line (systemd.service(5), "Command lines";
systemd 247 to 262).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from k3s_rootless.unit_file import words

_WHOLE = re.compile(r"\$(?P<name>(?![{$]).*)", re.DOTALL)
_PART = re.compile(r"\$(?:\$|\{(?P<name>[^}]*)\})")


def expanded(argv: Sequence[str], value: Callable[[str], str]) -> Iterator[str]:
    """Yield the words that the program gets; `value` returns that of a variable, empty for none.

    `${NAME}` is replaced inside of a word. A word that begins with `$` is the name of a variable to
    its end, whose value is split at blanks: `$HOME/x` is no word at all. The first word is the
    program, and stays.
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
    """Return the variables that a command line names."""
    found = (one for word in argv[1:] for one in (_WHOLE.fullmatch(word), *_PART.finditer(word)))
    return frozenset(one["name"] for one in found if one is not None and one["name"])
