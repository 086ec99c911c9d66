"""Find values with a name that indicates a secret.

Forms: `NAME=value`, `"name": "value"`, `--name value`, `<name>value</name>`.

The syntax determines the end of a value, if the line shows which syntax it is (shell, systemd,
JSON, YAML, XML). If there are two possible ends, the longer value is used: redacting too much loses
information, redacting too little leaks a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial

from k3s_rootless.support.facts import Span
from k3s_rootless.support.redaction import addresses, names

_EMPTY = frozenset(
    {
        "",
        "true",
        "false",
        "null",
        "nil",
        "none",
        "<nil>",
        "yes",
        "no",
        "[]",
        "{}",
        "~",
        "[redacted]",
        "\\",
    }
)
INDICATOR = re.compile(r"[|>][0-9+-]{0,2}(?:[ \t]{1,8}#.*)?", re.DOTALL)
"""The indicator in YAML that the value is the following block of lines."""
_NAME = re.compile(
    r"(?<![\w.-])(?P<name>[\w.-]++)(?P<sep>\\{0,8}[\"']?\]?[ \t]{0,8}(?::=|=>|={1,3}|:)[ \t]{0,8})"
)
_FLAG = re.compile(
    r"(?<![\w.-])--?(?P<name>[A-Za-z][\w.-]*+)(?:[ \t]{1,8}|\\{0,8}[\"'],["
    r" \t]{0,8}(?=\\{0,8}[\"']))"
)
_PAIR = re.compile(
    r"\\{0,8}\"(?:name|key)\\{0,8}\"[ ]{0,4}:[ ]{0,4}\\{0,8}\"(?P<name>[\w.-]++)\\{0,8}\"[ ]{0,4},["
    r" ]{0,4}"
    r"\\{0,8}\"value\\{0,8}\"[ ]{0,4}:[ ]{0,4}"
)
_TAG = re.compile(
    r"(?:<|&lt;|\\{1,8}u003[cC])(?P<name>[\w.:-]{1,128}+)[^<>&\\]{0,256}+(?:>|&gt;|\\{1,8}u003[eE])"
)
_TAG_END = re.compile(r"(?:(?!</|&lt;/|\\{1,8}u003[cC]/).)*")
_OPEN = re.compile(r"[\[({ \t]{0,8}(?P<quote>\\{0,8}[\"'])")
# Quotes in the middle of a word are part of it, in systemd and in a shell, too.
_BARE = re.compile(rf"(?:[^\s\"']|[\"'](?![{addresses.CLOSERS}]|$))*")
_WIDE = re.compile(r"[^\"'\\]*+")
# In a flow mapping of YAML, a value can contain blanks.
_FLOW = re.compile(r"(?:[^,}\]\"']|[,}\]\"'](?![\s,}\]\"'\\]|$))*")
_SOLID = re.compile(r"\S*+")
_LINE = re.compile(r"[^\r\n]*+")
_BEFORE = re.compile(r"[ \t]*+(?:(?:-|#|;|export|set|local)[ \t]{1,8}){0,8}[\"']?")
_NEXT = re.compile(r"[ \t]{0,8},[ \t]{0,8}(?P<quote>\\{0,8}[\"'])")
_TAG_ENDS = ("</", "&lt;/", "u003c/", "u003C/")
_LONGEST_PLACE = 4200
_LONGEST_BEFORE = 64


def spans(line: str) -> Iterator[Span]:
    """Find the values with names that indicate a secret, and passwords in named addresses."""
    if "=" in line or ":" in line:
        yield from _named(line, _NAME, _value)
        if "value" in line:
            yield from _named(line, _PAIR, _after_pair)
    if "-" in line:
        yield from _named(line, _FLAG, _after_pair)
    last = max(map(line.rfind, _TAG_ENDS))
    if last >= 0:
        yield from _named(line, _TAG, partial(_after_tag, last))


def harmless(name: str, value: str) -> bool:
    """Return whether a value can be shown although its name indicates a secret.

    Examples are `false` and the path of a file.
    """
    return value.lower() in _EMPTY or names.place(name, value)


Bounds = tuple[int, int]
Value = Callable[[str, re.Match[str], int], Bounds]
"""Return the start and the end of the value after a name in a line.

The function reads the line only up to the given position.
"""


def _named(line: str, pattern: re.Pattern[str], value: Value) -> Iterator[Span]:
    done = 0
    for found in pattern.finditer(line):
        if found.start() < done:
            continue
        kind = names.kind(found["name"])
        if kind:
            start, end = _secret(line, found, value)
        elif names.address(found["name"]):
            kind = addresses.KIND
            start, end = _credentials(line, found, value)
        else:
            continue
        if start < end:
            done = end
            yield Span(start, end, kind)


def _secret(line: str, found: re.Match[str], value: Value) -> Bounds:
    # Text that is not redacted is read again for the next name. So, if a value can be kept, the
    # read is limited.
    bound = len(line)
    if names.may_place(found["name"]):
        bound = min(bound, found.end() + _LONGEST_PLACE)
    start, end = value(line, found, bound)
    whole = line[start:end].strip()
    if INDICATOR.fullmatch(whole) or harmless(found["name"], whole):
        return start, start
    if bound == len(line):
        return start, end
    return value(line, found, len(line))


def _credentials(line: str, found: re.Match[str], value: Value) -> Bounds:
    bound = min(len(line), found.end() + _LONGEST_PLACE)
    certain = names.proxy(found["name"])
    start, end = value(line, found, bound)
    if certain and line[start - 1] not in "\"'":
        # A quote that looks like the end of the value can be part of the password: `u:p":w@proxy`.
        end = max(end, _end(_SOLID, line, start, bound))
    inside = addresses.credentials(line[start:end], certain=certain)
    if inside is None:
        return start, start
    return start + inside[0], start + inside[1]


def _value(line: str, found: re.Match[str], bound: int) -> Bounds:
    start = found.end()
    quoted = _OPEN.match(line, start, bound)
    if quoted:
        return quoted.end(), _closing(line, quoted, bound)
    opener = _opener(line, found.start())
    unquoted = '"' not in found["sep"] and "'" not in found["sep"]
    if opener and unquoted and "=" in found["sep"]:
        # `"K3S_TOKEN=two words"`, as in a unit: the quote before the name is closed after the
        # value.
        return start, _closed(line, opener, start, bound)
    return start, _end(_form(line, found), line, start, bound)


def _form(line: str, found: re.Match[str]) -> re.Pattern[str]:
    """Return the pattern of a value without quotes."""
    name = found["name"]
    if not name.startswith("-") and _begins(line, found.start()):
        # In a line of YAML or of a file of variables, the value can contain blanks.
        return _LINE
    if names.wide(name):
        return _WIDE
    sep = found["sep"]
    if ":" in sep and sep.endswith((" ", "\t")) and _in_flow(line, found.start()):
        return _FLOW
    return _BARE


def _after_pair(line: str, found: re.Match[str], bound: int) -> Bounds:
    quoted = _OPEN.match(line, found.end(), bound)
    if quoted:
        return quoted.end(), _closing(line, quoted, bound)
    return found.end(), _end(_BARE, line, found.end(), bound)


def _after_tag(last: int, line: str, found: re.Match[str], bound: int) -> Bounds:
    start = found.end()
    if start > last:
        # Without an end tag after it, `<token>` is a word in a usage text and not a tag.
        return start, start
    return start, _end(_TAG_END, line, start, bound)


def _begins(line: str, start: int) -> bool:
    return start <= _LONGEST_BEFORE and _BEFORE.fullmatch(line, 0, start) is not None


def _in_flow(line: str, start: int) -> bool:
    before = line[max(0, start - 9) : start].rstrip(" \t\"'")
    return before.endswith(("{", ",", "["))


def _opener(line: str, start: int) -> str:
    # At most eight backslashes and a quote: JSON within JSON doubles them at each level.
    if start == 0 or line[start - 1] not in "\"'":
        return ""
    begin = start - 1
    while begin > 0 and line[begin - 1] == "\\" and start - begin < 9:
        begin -= 1
    return line[begin:start]


def _closing(line: str, quoted: re.Match[str], bound: int) -> int:
    """Return the end of a quoted value or of a list of them: before the last closing quote."""
    end = _closed(line, quoted["quote"], quoted.end(), bound)
    if "[" not in quoted[0]:
        return end
    following = _NEXT.match(line, end + len(quoted["quote"]), bound)
    while following is not None:
        end = _closed(line, following["quote"], following.end(), bound)
        following = _NEXT.match(line, end + len(quoted["quote"]), bound)
    return end


def _closed(line: str, quote: str, start: int, bound: int) -> int:
    at = _unescaped(line, quote, start, bound)
    if at < 0:
        return bound
    behind = line[at + len(quote) : at + len(quote) + 1]
    if len(quote) > 1 or not behind or behind in _CLOSERS:
        return at
    # `"abc"def` is one word in a shell and in systemd.
    return _end(_BARE, line, at + 1, bound)


def _unescaped(line: str, quote: str, start: int, bound: int) -> int:
    # A quote after more backslashes than the opening quote is part of the value; a doubled quote
    # is, too (YAML, shell).
    at = line.find(quote, start, bound)
    while at >= 0:
        length = _escaped(line, quote, at, start, bound)
        if not length:
            return at
        at = line.find(quote, at + length, bound)
    return -1


def _escaped(line: str, quote: str, at: int, start: int, bound: int) -> int:
    """Return the length of the sequence if a quote is part of the value, otherwise 0."""
    backslashes = _backslashes(line, at, start)
    if backslashes % 2 or (backslashes and len(quote) > 1):
        return len(quote)
    if quote == "'" and line.startswith("\\''", at + 1):
        return 4
    doubled = len(quote) == 1 and line.startswith(quote, at + 1)
    if doubled and (at > start or _continues(line, quote, at + 2, bound)):
        return 2
    return 0


def _continues(line: str, quote: str, after: int, bound: int) -> bool:
    # `''` at the beginning of a value that is not empty: it is followed by text and a closing
    # quote.
    return (
        line[after : after + 1] not in {"", ",", "}", "]", ")", ";"}
        and line.find(quote, after, bound) >= 0
    )


def _backslashes(line: str, at: int, start: int) -> int:
    count = 0
    while at - count > start and line[at - count - 1] == "\\" and count < 64:
        count += 1
    return count


def _end(pattern: re.Pattern[str], line: str, start: int, bound: int) -> int:
    found = pattern.match(line, start, bound)
    if found is None:
        return start
    return found.end()


_CLOSERS = frozenset(" \t\r\n,;:)}]>\\\"'")
