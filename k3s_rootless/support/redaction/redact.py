"""Remove secrets from texts and documents: known secrets in any form, and likely secrets.

Lines are processed one by one and in order, so that a journal of any length can be redacted; only
an open block of PEM or YAML is kept in memory between lines. No input can make the redaction fail:
it does not depend on any format.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from k3s_rootless.support.facts import Names, Span
from k3s_rootless.support.redaction import addresses, encodings, names, patterns
from k3s_rootless.support.redaction.anonymity import Pseudonyms
from k3s_rootless.support.redaction.blocks import Blocks

_MARK = re.compile(r"\[redacted:[a-z0-9-]{1,40}\]")
_STATEMENT = re.compile(r"(?<!\\)\n")
_LONGEST_BLOCK = 200
_AROUND = 64
_BATCH = 2**18
_BATCH_LINES = 500
_BEGIN = "-----BEGIN "
_END = "-----END "
_DASHES = "-----"
_BODY = re.compile(r"\s*+(?:[A-Za-z0-9+/=_-]++|[A-Za-z-]{1,20}: .*+)?\s*+")
_LONE_BODY = re.compile(r"\s*+[A-Za-z0-9+/]{60,76}={0,2}\s*+")
_HEX = re.compile(r"\s*+[0-9a-fA-F]++\s*+")
# Colours and other terminal commands, raw or as JSON and Go write them. They could separate a name
# from its value.
_ESCAPES = re.compile(
    r"(?:(?:\x1b|\\{1,8}(?:x1[bB]|u001[bB]|033|e))\[|\x9b)[0-?]{0,64}+[ -/]{0,8}+[@-~]"
)
_ESCAPE = "\x1b"
_WORD = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=_-%")


class Redactor:
    """One redaction.

    `counts` is the number of removed secrets of each kind, `anonymous` are the names to replace.
    """

    def __init__(self, known: Iterable[str] = (), anonymous: Names | None = None) -> None:
        self.counts: Counter[str] = Counter()
        secrets = set(known)
        # In an escaped form of a secret, its other escape characters stay when the sequences that a
        # terminal would interpret are removed.
        shorter = {_ESCAPES.sub("", one) for one in secrets}
        self._literals = encodings.literals(secrets | shorter | set(map(_plain, secrets)))
        self._pseudonyms: Pseudonyms | None = None
        if anonymous is not None:
            self._pseudonyms = Pseudonyms(anonymous)
        self._block = 0
        self._blocks = Blocks()

    def text(self, text: str) -> str:
        """Redact a text with several lines."""
        return "\n".join(self.lines(text.split("\n")))

    def lines(self, lines: Iterable[str]) -> Iterator[str]:
        """Redact the lines of one text; the number of lines does not change.

        Only some of the lines are kept in memory at a time.
        """
        self._block, self._blocks = 0, Blocks()
        for batch in _batches(map(_plain, lines)):
            joined = "\n".join(batch)
            likely = [literal for literal in self._literals if literal in joined]
            yield from (self._redacted(line, likely) for line in batch)
        self._block, self._blocks = 0, Blocks()

    def unit(self, text: str) -> str:
        """Redact a unit file."""
        return "\n".join(self.unit_lines(text))

    def unit_lines(self, text: str) -> list[str]:
        """Redact the lines of a unit file; the number of lines does not change.

        A line that ends with a backslash continues on the next line (systemd.syntax(7)), and so can
        a secret in it.
        """
        self._block, self._blocks = 0, Blocks()
        return [
            line
            for folded in _STATEMENT.split(text)
            for line in self._statement(folded.split("\n"))
        ]

    def _statement(self, lines: Sequence[str]) -> Iterator[str]:
        parts = [_plain(line[:-1]) for line in lines[:-1]] + [_plain(lines[-1])]
        found = self._spans(" ".join(parts), self._literals)
        start = 0
        for number, part in enumerate(parts, 1):
            here = [
                Span(max(0, one.start - start), min(len(part), one.end - start), one.kind)
                for one in found
            ]
            redacted = self._replaced(part, [one for one in here if one.start < one.end])
            if number < len(parts):
                redacted += "\\"
            yield redacted
            start += len(part) + 1

    def line(self, line: str) -> str:
        """Redact one line, as part of a PEM block if an earlier line has opened one."""
        return self._redacted(_plain(line), self._literals)

    def _redacted(self, line: str, literals: Sequence[str]) -> str:
        return self._replaced(line, self._spans(line, literals))

    def _spans(self, line: str, literals: Sequence[str]) -> list[Span]:
        spans = [*self._pem(line), *_known(line, literals), *patterns.spans(line)]
        continued = self._blocks.span(line)
        if continued is not None:
            spans.append(continued)
        return sorted(spans, key=lambda span: (span.start, -span.end))

    def _replaced(self, line: str, found: Sequence[Span]) -> str:
        redacted = self._without(line, found)
        if self._pseudonyms is None:
            return redacted
        return self._pseudonyms.replace(redacted)

    def document(self, value: Any, name: str = "") -> Any:  # noqa: ANN401 (JSON has any type)
        """Redact a JSON value, including the keys of objects.

        Values are also redacted by their names.
        """
        if isinstance(value, str):
            if self._must_hide(name, value):
                return self._placeholder(name)
            return self.text(self._address(name, value))
        if isinstance(value, Mapping):
            return self._object(value)
        if isinstance(value, Sequence):
            return self._list(value, name)
        if type(value) in {int, float} and names.secret(name):
            return self._placeholder(name)
        return value

    def _object(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        named = _name_of_value(value)
        redacted = {}
        for key, one in value.items():
            name = str(key)
            if key == "value" and named:
                name = named
            redacted[self.text(str(key))] = self.document(one, name)
        return redacted

    def _list(self, value: Sequence[Any], name: str) -> list[Any]:
        redacted = []
        flag = ""
        for one in value:
            redacted.append(self.document(one, flag or name))
            # `["--token", "…"]`: the flag is the name of the next value.
            flag = ""
            if isinstance(one, str) and one.startswith("-") and "=" not in one:
                flag = one if names.secret(one) else ""
        return redacted

    def _must_hide(self, name: str, value: str) -> bool:
        return bool(value) and names.secret(name) and not names.place(name, value)

    def _address(self, name: str, value: str) -> str:
        if not names.address(name):
            return value
        found = addresses.credentials(value, certain=names.proxy(name))
        if found is None or found[0] == found[1]:
            return value
        self.counts[addresses.KIND] += 1
        return f"{value[: found[0]]}[redacted:{addresses.KIND}]{value[found[1] :]}"

    def _placeholder(self, name: str) -> str:
        kind = names.kind(name) or "secret"
        self.counts[kind] += 1
        return f"[redacted:{kind}]"

    def _without(self, line: str, found: Sequence[Span]) -> str:
        parts: list[str] = []
        done = 0
        for span in found:
            if (
                span.end <= done
                or span.start >= span.end
                or _MARK.fullmatch(line, span.start, span.end)
            ):
                continue
            if span.start >= done:
                self.counts[span.kind] += 1
                parts += (line[done : span.start], f"[redacted:{span.kind}]")
            done = span.end
        if not parts:
            return line
        parts.append(line[done:])
        return "".join(parts)

    def _pem(self, line: str) -> Iterator[Span]:
        at = 0
        if self._block:
            at = self._end_of_open_block(line)
            if at > 0:
                yield Span(0, at, "pem")
        elif _LONE_BODY.fullmatch(line) and not _HEX.fullmatch(line):
            yield Span(0, len(line), "pem")
        begin = line.find(_BEGIN, at)
        while begin >= 0:
            at = _end_of_block(line, begin)
            if at < 0:
                self._block = _LONGEST_BLOCK
                yield Span(begin, len(line), "pem")
                return
            self._block = 0
            yield Span(begin, at, "pem")
            begin = line.find(_BEGIN, at)

    def _end_of_open_block(self, line: str) -> int:
        """Return the end, in this line, of the block that an earlier line began.

        The result is 0 if the line is not part of the block.
        """
        end = _end_of_block(line, 0)
        if end >= 0:
            self._block = 0
            return end
        self._block -= 1
        if _BODY.fullmatch(line):
            return len(line)
        # The line is from another program, or the block was cut off.
        return 0


def _plain(line: str) -> str:
    if _ESCAPE in line or "\x9b" in line or ("\\" in line and "[" in line):
        line = _ESCAPES.sub("", line)
    # Remaining parts of the escape sequences must not reach a terminal either.
    return line.replace(_ESCAPE, "\u241b")


def _batches(lines: Iterable[str]) -> Iterator[list[str]]:
    # A kubeconfig yields a thousand texts to search for. A search for all of them in each line
    # takes ten times as long as a search in batches.
    batch: list[str] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= _BATCH or len(batch) >= _BATCH_LINES:
            yield batch
            batch, size = [], 0
    yield batch


def _known(line: str, literals: Iterable[str]) -> Iterator[Span]:
    for literal in literals:
        at = line.find(literal)
        while at >= 0:
            end = at + len(literal)
            if len(literal) >= encodings.PIECE:
                at, end = _whole_word(line, at, end)
            yield Span(at, end, "known")
            at = line.find(literal, end)


def _name_of_value(value: Mapping[Any, Any]) -> str:
    """Return the name in an object such as `{"name": "K3S_TOKEN", "value": "…"}`.

    Empty if the name indicates neither a secret nor an address.
    """
    name = value.get("name") or value.get("key")
    if not isinstance(name, str) or "value" not in value:
        return ""
    promising = names.secret(name) or names.address(name)
    return name if promising else ""


def _end_of_block(line: str, start: int) -> int:
    """Return the end of a PEM block, after its last dashes; negative if not in this line."""
    end = line.find(_END, start)
    if end < 0:
        return end
    dashes = line.find(_DASHES, end + len(_END))
    if dashes < 0:
        return len(line)
    return dashes + len(_DASHES)


def _whole_word(line: str, start: int, end: int) -> tuple[int, int]:
    # A piece of a longer secret: the adjacent characters belong to it, up to the position of the
    # next piece.
    first, last = max(0, start - _AROUND), min(len(line), end + _AROUND)
    while start > first and line[start - 1] in _WORD:
        start -= 1
    while end < last and line[end] in _WORD:
        end += 1
    return start, end
