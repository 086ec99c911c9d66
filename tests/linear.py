"""Search for regular expressions that can become slow: by parse tree and by hostile texts.

Python's engine backtracks. `complaints` finds two causes of excessive backtracking in the parse
tree: an unbounded repetition inside another one, and two adjacent unbounded repetitions that match
the same characters. The third cause, a repetition that can restart inside the text that it matches,
is found by measuring, and so are bounds that are too large: `hostile` makes texts that reach each
repetition, feed it for the length of the text and then fail the match, and texts that reach it as
often as possible.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

ALPHABET = frozenset(range(128)) | {0xE4, 0x2026}
_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)
_LOOKS = (codes.ASSERT, codes.ASSERT_NOT)
_CATEGORIES = {
    codes.CATEGORY_DIGIT: r"\d",
    codes.CATEGORY_NOT_DIGIT: r"\D",
    codes.CATEGORY_SPACE: r"\s",
    codes.CATEGORY_NOT_SPACE: r"\S",
    codes.CATEGORY_WORD: r"\w",
    codes.CATEGORY_NOT_WORD: r"\W",
}
_PREFERRED = [*map(ord, 'a0 ":=/.-x\\'), *range(33, 127), 9, 10, 32]
_ANYTHING = ("a", " ", '"', "aA0-")
Tree = Sequence[tuple[Any, Any]]


@dataclass(frozen=True)
class Text:
    """Text of any length: a start, a repeated filling and an end."""

    before: str
    fill: str
    end: str

    def of(self, length: int) -> str:
        """Return the text with about this length."""
        return self.before + (self.fill * (length // len(self.fill) + 1))[:length] + self.end


def tree(pattern: re.Pattern[Any]) -> Tree:
    """Parse a compiled expression again and return its tree."""
    source = pattern.pattern
    text = source.decode("latin-1") if isinstance(source, bytes) else source
    flags = pattern.flags & ~re.UNICODE if isinstance(source, bytes) else pattern.flags
    return list(parser.parse(text, flags & ~re.DEBUG))


def takes(node: tuple[Any, Any]) -> frozenset[int]:
    """Return the characters that a node can begin with; empty if it matches none."""
    op, value = node
    if op is codes.LITERAL:
        return frozenset({value})
    if op is codes.NOT_LITERAL:
        return ALPHABET - {value}
    if op is codes.ANY:
        return ALPHABET - {10}
    if op is codes.IN:
        return _class(value)
    if op is codes.BRANCH:
        return frozenset().union(*(begins(branch) for branch in value[1]))
    inner = _inner(node)
    return begins(inner) if inner is not None else frozenset()


def begins(nodes: Tree) -> frozenset[int]:
    """Return the characters that a sequence can begin with."""
    found: frozenset[int] = frozenset()
    for node in nodes:
        found |= takes(node)
        if not _optional(node) and node[0] not in (codes.AT, *_LOOKS):
            break
    return found


def holds(nodes: Tree) -> frozenset[int]:
    """Return all characters that can occur anywhere in a match of a sequence."""
    found: frozenset[int] = frozenset()
    for node in nodes:
        if node[0] in _LOOKS:
            continue
        inner = _branches(node)
        found |= frozenset().union(*map(holds, inner)) if inner else takes(node)
    return found


def complaints(pattern: re.Pattern[Any]) -> list[str]:
    """Return the parts of an expression that may backtrack too much; empty if proved linear."""
    return list(_nested(tree(pattern), inside=False)) + list(_beside(tree(pattern)))


def _nested(nodes: Tree, *, inside: bool) -> Iterator[str]:
    for node in nodes:
        endless = node[0] in _REPEATS and node[1][1] is codes.MAXREPEAT
        yields = node[0] is not codes.POSSESSIVE_REPEAT
        if inside and endless and yields:
            yield "a repetition without bound holds another"
        for inner in _branches(node):
            yield from _nested(inner, inside=inside or (endless and yields))


def _beside(nodes: Tree) -> Iterator[str]:
    before: frozenset[int] | None = None
    for op, value in _flat(nodes):
        if op in (codes.MAX_REPEAT, codes.MIN_REPEAT) and value[1] is codes.MAXREPEAT:
            taken = holds(value[2])
            if before is not None and before & taken:
                yield (
                    "two repetitions without bound take the same characters, and nothing separates"
                    " them"
                )
            before = taken
        elif before is not None and not _optional((op, value)) and op not in (codes.AT, *_LOOKS):
            # A mandatory part between the two that the first cannot match separates them.
            between = takes((op, value))
            before = None if not before & between else before


def _flat(nodes: Tree) -> Iterator[tuple[Any, Any]]:
    for node in nodes:
        if node[0] is codes.SUBPATTERN:
            yield from _flat(node[1][3])
        else:
            yield node


def hostile(pattern: re.Pattern[Any]) -> Iterator[Text]:
    """Yield texts that make the engine backtrack as much as the expression allows."""
    nodes = tree(pattern)
    whole = witness(nodes)
    for piece in dict.fromkeys(
        (whole, whole[:-1], whole[: len(whole) // 2], whole[:1], *_ANYTHING)
    ):
        if piece:
            yield Text("", piece, "")
    for before, node, behind in _repeats(nodes, ""):
        for fill in _fills(node, behind, whole):
            for end in ("", "\x00", "\n"):
                yield Text(before, fill, end)
            # Reach the repetition as often as possible, each time a little way into it.
            yield Text("", before + fill * 3, "")


def _repeats(nodes: Tree, before: str) -> Iterator[tuple[str, tuple[Any, Any], Tree]]:
    for index, node in enumerate(nodes):
        behind = nodes[index + 1 :]
        if node[0] in _REPEATS and node[1][1] > node[1][0]:
            yield before, node, behind
        for inner in _branches(node):
            if node[0] not in _LOOKS or node[1][0] > 0:
                yield from _repeats(list(inner), before)
        before += witness([node])


def _fills(node: tuple[Any, Any], behind: Tree, whole: str) -> list[str]:
    body = node[1][2]
    allowed = holds(body)
    witnesses = [
        _one(allowed),
        _one(allowed & begins(behind)),
        *(char for char in whole[:1] if ord(char) in allowed),
    ]
    return [one for one in dict.fromkeys((witness(body), *witnesses)) if one]


def witness(nodes: Tree) -> str:
    """Return a short text that a sequence matches; lookarounds are ignored."""
    return "".join(map(_witness, nodes))


def _witness(node: tuple[Any, Any]) -> str:
    op, value = node
    if op in _REPEATS:
        return witness(value[2]) * max(int(value[0]), 1)
    if op is codes.BRANCH:
        return witness(value[1][0])
    if op in _LOOKS or op is codes.AT:
        return ""
    inner = _inner(node)
    return witness(inner) if inner is not None else _one(takes(node))


def seconds(pattern: re.Pattern[Any], text: str, use: str, *, tries: int) -> float:
    """Return the CPU time of this thread for an expression on a text, in seconds.

    The result is the best of `tries` runs. `use` is the name of the matching method.
    """
    given: Any = text.encode("latin-1", "replace") if isinstance(pattern.pattern, bytes) else text
    return min(_seconds(pattern, given, use) for _ in range(tries))


def _seconds(pattern: re.Pattern[Any], text: Any, use: str) -> float:
    begun = time.thread_time()
    if use == "finditer":
        for _ in pattern.finditer(text):
            pass
    else:
        getattr(pattern, use)(text)
    return time.thread_time() - begun


def _one(allowed: frozenset[int]) -> str:
    return next(
        (chr(one) for one in _PREFERRED if one in allowed), chr(min(allowed)) if allowed else ""
    )


def _inner(node: tuple[Any, Any]) -> Tree | None:
    op, value = node
    if op is codes.SUBPATTERN:
        return list(value[3])
    if op in _REPEATS:
        return list(value[2])
    return list(value) if op is codes.ATOMIC_GROUP else None


def _branches(node: tuple[Any, Any]) -> list[Tree]:
    op, value = node
    if op is codes.BRANCH:
        return [list(one) for one in value[1]]
    if op in _LOOKS:
        return [list(value[1])]
    inner = _inner(node)
    return [inner] if inner is not None else []


def _optional(node: tuple[Any, Any]) -> bool:
    op, value = node
    if op in _REPEATS:
        return bool(value[0] == 0)
    if op is codes.SUBPATTERN:
        return all(map(_optional, value[3]))
    return op is codes.BRANCH and any(all(map(_optional, one)) for one in value[1])


def _class(items: Tree) -> frozenset[int]:
    found: frozenset[int] = frozenset()
    negated = False
    for op, value in items:
        if op is codes.NEGATE:
            negated = True
        elif op is codes.LITERAL:
            found |= {value}
        elif op is codes.RANGE:
            found |= frozenset(range(value[0], min(value[1], 0x10FF) + 1))
        elif op is codes.CATEGORY:
            named = re.compile(_CATEGORIES[value])
            found |= {one for one in ALPHABET if named.match(chr(one))}
    return ALPHABET - found if negated else found
