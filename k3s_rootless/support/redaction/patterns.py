"""Find secrets by their form: tokens, values after a name, passwords in addresses.

Each expression reads a line once: it starts at a fixed word or at the start of a word, repeats one
class of characters, and each repetition is bounded or possessive. Cases that need backtracking are
handled in code. So the time for a line is at most proportional to its length; tests/test_linear.py
checks this for each expression.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from k3s_rootless.support.facts import Span
from k3s_rootless.support.redaction import addresses, assigned


def _form(kind: str, hints: str, pattern: str) -> tuple[str, tuple[str, ...], re.Pattern[str]]:
    return kind, tuple(hints.split()), re.compile(pattern)


# As one word, as two words, or as two strings in JSON.
_USER = r"(?:-[uU]|--user|--proxy-user)(?:[ =]|\\{0,8}[\"'],[ \t]{0,4})"
_NO_IDS = r"(?![0-9]{1,10}:[0-9]{1,10}(?:[\s\"',]|$))"
# A quote in the middle of a word is part of it.
_REST = rf"(?:[^\s\"']|[\"'](?![{addresses.CLOSERS}]|$))+"
_IN_QUOTES = r"(?:[^\"\\]|\\.)+"
_QUOTED_USER = rf"\"[^\":]{{1,128}}+:{_IN_QUOTES}|'[^':]{{1,128}}+:[^']++"
# The kind, the hints (each matching line contains at least one of these words), and the expression.
# The group `secret` is redacted.
FORMS = (
    _form("k3s-token", "K10", r"(?<![A-Za-z0-9])K10[0-9a-fA-F]{6,}+(?:::[^\s\"'\\,;<>]++)?"),
    _form("jwt", "eyJ", r"(?<![A-Za-z0-9+/])eyJ[A-Za-z0-9_+/=.-]{8,}+"),
    _form("pem", "LS0tLS1", r"LS0tLS1[A-Za-z0-9+/_=-]{8,}+"),
    _form(
        "bearer",
        "earer EARER",
        r"(?i:bearer)["
        r" \t]{1,8}(?P<secret>(?=[a-z]{0,15}+[^a-z\s\"'])[A-Za-z0-9._~+/=-]{8,}+|[a-z]{16,}+)",
    ),
    _form(
        "basic-auth",
        "asic ASIC",
        r"(?i:basic)["
        r" \t]{1,8}(?P<secret>(?=[A-Za-z]?+[a-z]{0,64}+[A-Z0-9=+/])[A-Za-z0-9+/_=-]{6,}+)",
    ),
    _form(
        "aws-key",
        "AKIA ASIA AROA AIDA",
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    ),
    _form(
        "service-token",
        "_ - .",
        r"(?<![A-Za-z0-9])(?:gh[pousr]_|github_pat_|gl[a-z]{1,6}-|xox[a-z]-|xapp-|"
        r"dckr_[a-z]{3}_|npm_|pypi-|hv[sbr]\.|hf_|sk-"
        r"|[sr]k_live_|SG\.|ya29\.|do[a-z]_v1_|tskey-)[A-Za-z0-9_.-]{16,}+",
    ),
    _form(
        "service-token",
        "AIza AGE-SECRET",
        r"(?<![A-Za-z0-9])(?:AIza|AGE-SECRET-KEY-1)[A-Za-z0-9_-]{30,}+",
    ),
    _form(
        "password-hash",
        "$",
        r"\$(?:apr1|[1-9]|2[abxy]|y|gy|argon2(?:id|i|d)|pbkdf2[\w-]{0,16}|scrypt)"
        r"\$[^\s:\"'\\,]{8,}+",
    ),
    _form(
        "bootstrap-token",
        ".",
        r"(?<![A-Za-z0-9.-])(?=[a-z0-9]{6}\.[a-z]{0,15}+[0-9])"
        r"[a-z0-9]{6}\.[a-z0-9]{16}(?![A-Za-z0-9.-])",
    ),
    # `curl -u user:password`, also quoted, and `-sSuuser:password`; `--user 1000:1000` of podman is
    # kept.
    _form(
        "password",
        "-u --user --proxy-user -U",
        rf"(?:^|(?<=[\s\"'])){_USER}(?P<secret>{_NO_IDS}[^\s\"':]{{1,128}}+:{_REST}"
        rf"|{_QUOTED_USER}|\\{{1,8}}\"[^\":\\]{{1,128}}+:[^\"\\]++)",
    ),
    _form(
        "password",
        "curl",
        rf"(?<=\s)-(?!-)[A-Za-z]{{0,8}}?[uU][ ]?"
        rf"(?P<secret>{_NO_IDS}(?=[A-Za-z0-9._%+\\-]{{1,128}}+:)"
        rf"[^\s\"':]{{1,128}}+:{_REST}|{_QUOTED_USER})",
    ),
    _form(
        "password",
        "login sshpass mysql",
        rf"(?<=\s)(?:-p|--password)[ =]?(?P<secret>\"{_IN_QUOTES}|'[^']++|[^\s\"'=-]{_REST})",
    ),
    _form("password", "login machine", r"(?<=password)[ \t]{1,8}(?P<secret>[^\s\"']++)"),
    _form("token", "server agent", r"(?<=\s)-t[ =](?P<secret>[^\s\"'$][^\s\"']{3,}+)"),
    _form("signature", "sig=", r"(?<=[?&])sig=(?P<secret>[^\s&\"']++)"),
)
_BLOB = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{64,}+={0,2}")


def spans(line: str) -> Iterator[Span]:
    """Find secrets in a line by their form; spans can overlap and are not sorted."""
    for kind, hints, pattern in FORMS:
        if any(hint in line for hint in hints):
            # The group `secret`, or the whole match.
            group = pattern.groupindex.get("secret", 0)
            yield from (Span(*found.span(group), kind) for found in pattern.finditer(line))
    yield from assigned.spans(line)
    if "@" in line:
        yield from addresses.in_line(line)
    if len(line) >= 64:
        yield from (
            Span(*found.span(), "long-base64") for found in _BLOB.finditer(line) if _dense(found[0])
        )


def _dense(run: str) -> bool:
    # The run must not be a hexadecimal digest, a path, or a long name with dashes: it needs letters
    # of both cases and digits, and few separators.
    head = run[:256]
    dividers = sum(map(head.count, "/-_"))
    return (
        any(char.isupper() for char in head)
        and any(char.islower() for char in head)
        and any(char.isdigit() for char in head)
        and dividers * 12 <= len(head)
    )
