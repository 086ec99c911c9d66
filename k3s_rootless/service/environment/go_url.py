"""Parser for the scheme, host and port of a URL that follows Go's net/url.

The tests compare it with the results of Go 1.27 in tests/data/go-words.json. Other Go releases read
a few unusual addresses differently.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):")
_WRONG_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# In a host, Go accepts escapes only for bytes outside ASCII, and for `%` itself.
_WRONG_IN_HOST = re.compile(r"%(?!25|[89A-Fa-f][0-9A-Fa-f])|[\x00-\x20#/?@^`{|}\\\x7f]")
_USER = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:%@-]*")
_PORT = re.compile(r"(?::(?P<number>[0-9]*))?")


@dataclass(frozen=True, slots=True)
class Url:
    """The parts of a URL that the callers need.

    `host` is empty for a URL without a host; `password` is true if the URL contains a password.
    """

    scheme: str
    host: str = ""
    port: str = ""
    password: bool = False


def parse(text: str) -> Url | None:
    """Return the URL as `net/url.Parse` reads it; None if Go reports an error."""
    text, _, fragment = text.partition("#")
    if _CONTROL.search(text) or _WRONG_ESCAPE.search(fragment) or text.startswith(":"):
        return None
    scheme, rest = _scheme(text.partition("?")[0])
    if not rest.startswith("/"):
        return Url(scheme) if scheme or _is_path(rest) else None
    authority, path = "", rest
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        path = slash + path
    if _WRONG_ESCAPE.search(path):
        return None
    return _authority(scheme, authority)


def _scheme(text: str) -> tuple[str, str]:
    """Return the scheme, empty if there is none, and the rest of the text."""
    found = _SCHEME.match(text)
    if found is None:
        return "", text
    return found["scheme"].lower(), text[found.end() :]


def _is_path(text: str) -> bool:
    """Return whether a text without a scheme is a relative path.

    Go allows no colon in the first part of a relative path.
    """
    return ":" not in text.partition("/")[0] and not _WRONG_ESCAPE.search(text)


def _authority(scheme: str, text: str) -> Url | None:
    user, at, place = text.rpartition("@")
    if not _USER.fullmatch(user) or _WRONG_ESCAPE.search(user):
        return None
    found = _bracketed(place) if place.startswith("[") else _bare(place)
    if found is None:
        return None
    host, port = found
    return Url(scheme, host, port, bool(at) and ":" in user)


def _bracketed(place: str) -> tuple[str, str] | None:
    """Return host and port of an IPv6 address in brackets; None if Go reports an error."""
    inside, bracket, rest = place[1:].rpartition("]")
    if not bracket or not _PORT.fullmatch(rest):
        return None
    port = rest[1:]
    address, zone, name = inside.partition("%25")
    try:
        if ipaddress.ip_address(address).version != 6:
            return None
    except ValueError:
        return None
    if not zone:
        return address, port
    if not name or _WRONG_IN_HOST.search(name):
        return None
    return f"{address}%{name}", port


def _bare(place: str) -> tuple[str, str] | None:
    """Return host and port of a name or an IPv4 address; None if Go reports an error."""
    host, colon, number = place.rpartition(":")
    if not colon:
        host, number = place, ""
    if not _PORT.fullmatch(f":{number}") or _WRONG_IN_HOST.search(place) or "[" in place:
        return None
    return host, number
