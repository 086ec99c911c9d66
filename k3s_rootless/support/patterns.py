"""What a secret looks like, whoever wrote it: tokens by their form, and values by the name before them.

Each expression reads a line once: it starts at a fixed word or where a word begins, repeats one class of characters, and what
may repeat is bounded or possessive. What would have to go back and forth is done by hand. So no line takes longer than in
proportion to its length; tests/test_linear.py holds each to that.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from k3s_rootless.support import names
from k3s_rootless.support.facts import Span

_EMPTY = frozenset({"", "true", "false", "null", "nil", "none", "<nil>", "yes", "no", "[]", "{}", "~", "[redacted]", "\\"})


def _form(kind: str, hints: str, pattern: str) -> tuple[str, tuple[str, ...], re.Pattern[str]]:
    return kind, tuple(hints.split()), re.compile(pattern)


# Kind, words of which one stands in each line that the expression matches, and the expression; the group `secret` is what goes.
FORMS = (
    _form("k3s-token", "K10", r"(?<![A-Za-z0-9])K10[0-9a-fA-F]{6,}+(?:::[^\s\"'\\,;<>]++)?"),
    _form("jwt", "eyJ", r"(?<![A-Za-z0-9+/])eyJ[A-Za-z0-9_+/=.-]{8,}+"),
    _form("pem", "LS0tLS1", r"LS0tLS1[A-Za-z0-9+/_=-]{8,}+"),
    _form(
        "bearer",
        "earer EARER",
        r"(?i:bearer)[ \t]{1,8}(?P<secret>(?=[a-z]{0,15}+[^a-z\s\"'])[A-Za-z0-9._~+/=-]{8,}+|[a-z]{16,}+)",
    ),
    _form("basic-auth", "asic ASIC", r"(?i:basic)[ \t]{1,8}(?P<secret>(?=[a-z]{0,64}+[A-Z0-9=+/])[A-Za-z0-9+/_=-]{6,}+)"),
    _form("aws-key", "AKIA ASIA AROA AIDA", r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])"),
    _form(
        "service-token",
        "_ - .",
        r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|gl[a-z]{1,6}-|xox[a-z]-|xapp-|dckr_[a-z]{3}_|npm_|pypi-|hv[sbr]\.|hf_|sk-"
        r"|[sr]k_live_|SG\.|ya29\.|do[a-z]_v1_|tskey-)[A-Za-z0-9_.-]{16,}+",
    ),
    _form("service-token", "AIza AGE-SECRET", r"(?<![A-Za-z0-9])(?:AIza|AGE-SECRET-KEY-1)[A-Za-z0-9_-]{30,}+"),
    _form(
        "password-hash",
        "$",
        r"\$(?:apr1|[1-9]|2[abxy]|y|gy|argon2(?:id|i|d)|pbkdf2[\w-]{0,16}|scrypt)\$[^\s:\"'\\,]{8,}+",
    ),
    _form(
        "bootstrap-token",
        ".",
        r"(?<![A-Za-z0-9.-])(?=[a-z0-9]{6}\.[a-z]{0,15}+[0-9])[a-z0-9]{6}\.[a-z0-9]{16}(?![A-Za-z0-9.-])",
    ),
    _form(
        "password",
        "-u --user --proxy-user",
        r"(?:^|(?<=\s))(?:-u|--user|--proxy-user)[ =](?P<secret>[^\s\"':]{1,128}+:[^\s\"']++)",
    ),
    _form("password", "login machine", r"(?<=password)[ \t]{1,8}(?P<secret>[^\s\"']++)"),
    _form("token", "k3s", r"(?<=\s)-t[ =](?P<secret>[^\s\"'$][^\s\"']{3,}+)"),
    _form("signature", "sig=", r"(?<=[?&])sig=(?P<secret>[^\s&\"']++)"),
)
_NAME = re.compile(r"(?<![\w.-])(?P<name>[\w.-]++)(?P<sep>\\{0,8}[\"']?\]?[ \t]{0,8}[=:][ \t]{0,8})")
_FLAG = re.compile(r"(?<![\w.-])--?(?P<name>[A-Za-z][\w.-]*+)(?:[ \t]{1,8}|\\{0,8}[\"'],[ \t]{0,8}(?=\\{0,8}[\"']))")
_PAIR = re.compile(
    r"\\{0,8}\"(?:name|key)\\{0,8}\"[ ]{0,4}:[ ]{0,4}\\{0,8}\"(?P<name>[\w.-]++)\\{0,8}\"[ ]{0,4},[ ]{0,4}"
    r"\\{0,8}\"value\\{0,8}\"[ ]{0,4}:[ ]{0,4}"
)
_OPEN = re.compile(r"[\[({ \t]{0,8}(?P<quote>\\{0,8}[\"'])")
_BARE = re.compile(r"[^\s\"']*+")
_WIDE = re.compile(r"[^\"'\\]*+")
_RUN = re.compile(r"[^\s\"'<>]++")
_BLOB = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{64,}+={0,2}")


def spans(line: str) -> Iterator[Span]:
    """Find what is secret in a line by what it looks like; spans may overlap, and come in no order."""
    for kind, hints, pattern in FORMS:
        if any(hint in line for hint in hints):
            group = "secret" if "secret" in pattern.groupindex else 0
            yield from (Span(*found.span(group), kind) for found in pattern.finditer(line))
    yield from assigned(line)
    if "@" in line:
        yield from addresses(line)
    if len(line) >= 64:
        yield from (Span(*found.span(), "long-base64") for found in _BLOB.finditer(line) if _dense(found[0]))


def assigned(line: str) -> Iterator[Span]:
    """Find the values whose names promise a secret: `NAME=value`, `"name": "value"`, `--name value` and the like."""
    if "=" in line or ":" in line:
        yield from _named(line, _NAME, _value)
        if "value" in line:
            yield from _named(line, _PAIR, lambda text, found: _plain_value(text, found.end()))
    if "-" in line:
        yield from _named(line, _FLAG, lambda text, found: _plain_value(text, found.end()))


def _named(line: str, pattern: re.Pattern[str], value: Callable[[str, re.Match[str]], tuple[int, int]]) -> Iterator[Span]:
    done = 0
    for found in pattern.finditer(line):
        if found.start() < done or not names.secret(found["name"]):
            continue
        start, end = value(line, found)
        taken = line[start : min(end, start + 64)].strip()
        if taken.lower() not in _EMPTY and not names.place(found["name"], taken):
            done = end
            yield Span(start, end, names.words(found["name"])[-1])


def _value(line: str, found: re.Match[str]) -> tuple[int, int]:
    opener = _opener(line, found.start())
    quoted = _OPEN.match(line, found.end())
    if quoted:
        return quoted.end(), _closing(line, quoted["quote"], quoted.end())
    if opener and "=" in found["sep"] and not {'"', "'"} & set(found["sep"]):
        # `"K3S_TOKEN=two words"`, as in a unit: what opens before the name closes after the value.
        return found.end(), _closing(line, opener, found.end())
    if names.wide(found["name"]):
        return found.end(), _end(_WIDE, line, found.end())
    return found.end(), _end(_BARE, line, found.end())


def _plain_value(line: str, start: int) -> tuple[int, int]:
    quoted = _OPEN.match(line, start)
    if quoted:
        return quoted.end(), _closing(line, quoted["quote"], quoted.end())
    return start, _end(_BARE, line, start)


def _opener(line: str, start: int) -> str:
    # At most eight backslashes and a quote: JSON inside of JSON doubles them at each level.
    if start == 0 or line[start - 1] not in "\"'":
        return ""
    begin = start - 1
    while begin > 0 and line[begin - 1] == "\\" and start - begin < 9:
        begin -= 1
    return line[begin:start]


def _closing(line: str, quote: str, start: int) -> int:
    # A quote behind more backslashes than the opening one had is part of the value. In doubt the value goes on: too much taken
    # out is a loss, too little is a leak.
    at = line.find(quote, start)
    while at > start and line[at - 1] == "\\" and (len(quote) > 1 or _backslashes(line, at, start) % 2):
        at = line.find(quote, at + len(quote))
    return len(line) if at < 0 else at


def _backslashes(line: str, at: int, start: int) -> int:
    count = 0
    while at - count > start and line[at - count - 1] == "\\" and count < 64:
        count += 1
    return count


def _end(pattern: re.Pattern[str], line: str, start: int) -> int:
    found = pattern.match(line, start)
    return found.end() if found else start


def addresses(line: str) -> Iterator[Span]:
    """Find user and password in addresses: `scheme://user:password@host`, and Go's `user:password@tcp(host)`."""
    for run in _RUN.finditer(line):
        text = run[0]
        begin, at = text.find("://"), text.rfind("@")
        if 0 <= begin < at:
            inside = text[begin + 3 : at]
            # `https://host/path@v1` has an @ and nobody's name.
            if inside and (":" in inside or "/" not in inside):
                yield Span(run.start() + begin + 3, run.start() + at, "url-user")
        for driver in ("@tcp(", "@unix("):
            if (end := text.find(driver)) > 0:
                yield Span(run.start() + text.rfind("=", 0, end) + 1, run.start() + end, "url-user")


def _dense(run: str) -> bool:
    # Not a digest in hexadecimal, a path, or a long name with dashes: letters of both cases and digits, and few dividers.
    head = run[:256]
    dividers = sum(map(head.count, "/-_"))
    return (
        any(char.isupper() for char in head)
        and any(char.islower() for char in head)
        and any(char.isdigit() for char in head)
        and dividers * 12 <= len(head)
    )
