"""Find the user and the password in an address, for `env list`, `unit show` and a bundle.

An address has the form `scheme://user:password@host` (RFC 3986), the same without a scheme, as curl
and Go accept it for a proxy, or `user:password@tcp(host)`, as Go's database drivers accept it.
Users also put characters into a password that must be escaped in an address (quotes, `@`, `/`,
blanks), so the last `@` is the end of the password.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from k3s_rootless.support.facts import Span

HIDDEN = "***"
KIND = "url-user"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}+://")
# A quote before one of these ends a value; any other quote is part of it: `u:p"w@proxy`.
CLOSERS = r"\s,;:)}\]>\\"
# Here and in the other modules of this package, no group has a possessive quantifier, because
# Python 3.11.2 matches too much (CPython issue 106052).
_RUN = re.compile(rf"(?:[^\s\"']|[\"'](?![{CLOSERS}]|$))+")
_DRIVERS = ("@tcp(", "@unix(")
# `image:tag@sha256:…`, and `user@1000.service`, a systemd unit in the path of a cgroup.
_NO_HOST = re.compile(
    r"@(?:sha(?:256|384|512):[0-9a-f]{32}|[0-9]{1,10}\.(?:service|slice|scope)\b)"
)
_NO_USER = frozenset({"mailto", "email", "mail", "sip", "acct"})
_BEFORE_USER = re.compile(r"[^A-Za-z0-9._~%+\\$-]")


def hidden(address: str) -> str:
    """Return an address with `***` in place of its password.

    If there is no `:` before the `@`, everything before the `@` is replaced.
    """
    found = credentials(address, certain=True)
    if found is None:
        return address
    start, end = found
    user, colon, _ = address[start:end].partition(":")
    shown = f"{user}:" if colon else ""
    return f"{address[:start]}{shown}{HIDDEN}{address[end:]}"


def credentials(text: str, *, certain: bool) -> tuple[int, int] | None:
    """Return the position of the user and password in a text that is one address, or None.

    `certain` means that the text is known to be the address of a host, such as a proxy; otherwise
    an `@` can be in its path.
    """
    start = 0
    scheme = _SCHEME.match(text)
    if scheme is not None:
        start = scheme.end()
    end = text.rfind("@")
    if end < start:
        return None
    if not certain and "/" in text[start:end] and ":" not in text[start:end]:
        # `https://host/path@v1` has an @ but no user.
        return None
    return start, end


def in_line(line: str) -> Iterator[Span]:
    """Find users with passwords in the addresses of a line, without the help of names."""
    for run in _RUN.finditer(line):
        text = run[0]
        at = text.rfind("@")
        if at < 0:
            continue
        offset = run.start()
        start = _start(text, at)
        if start >= 0:
            yield Span(offset + start, offset + at, KIND)
        for driver in _DRIVERS:
            end = text.find(driver)
            if end > 0:
                yield Span(offset + text.rfind("=", 0, end) + 1, offset + end, KIND)


def _start(text: str, at: int) -> int:
    """Return the start of the user that ends at this `@`; negative if there is none."""
    scheme = text.find("://")
    if not 0 <= scheme < at:
        return _without_scheme(text, at)
    found = credentials(text[scheme + 3 :], certain=False)
    if found is None or found[1] == 0:
        return -1
    return scheme + 3


def _without_scheme(text: str, at: int) -> int:
    """Return the start of `user:password@`; negative if there is none."""
    behind = text[at + 1 : at + 2]
    if not (behind.isalnum() or behind == "[") or _NO_HOST.match(text, at):
        return -1
    # Text before a slash does not belong to the user: `0::/user.slice/…@1000.service`, `a/b:c@d`.
    first = text.rfind("/", 0, at) + 1
    colon = text.find(":", first, at)
    if colon <= first or colon + 1 == at:
        return -1
    start = first
    for found in _BEFORE_USER.finditer(text, first, colon):
        start = found.end()
    user = text[start:colon]
    if not user or user.lower() in _NO_USER:
        return -1
    return start
