"""How Go's net/url reads a URL, as far as it decides about scheme, host and port.

Held against what Go 1.27 itself says, in tests/data/go-words.json; other releases differ in a few
odd addresses.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*):")
_WRONG_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# In a host, escapes are for bytes that are not of ASCII, and for `%` itself.
_WRONG_IN_HOST = re.compile(r"%(?!25|[89A-Fa-f][0-9A-Fa-f])|[\x00-\x20#/?@^`{|}\\\x7f]")
_USER = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:%@-]*")
_PORT = re.compile(r"(?::(?P<number>[0-9]*))?")


@dataclass(frozen=True, slots=True)
class Url:
    """What is read out of a URL, as far as it is needed here; `host` is empty where there is
    none.
    """

    scheme: str
    host: str = ""
    port: str = ""
    password: bool = False


def parse(text: str) -> Url | None:
    """Give what `net/url.Parse` reads; None for an error."""
    text, _, fragment = text.partition("#")
    found = _SCHEME.match(text)
    if _CONTROL.search(text) or _WRONG_ESCAPE.search(fragment) or text.startswith(":"):
        return None
    scheme, rest = (found["scheme"].lower(), text[found.end() :]) if found else ("", text)
    rest = rest.partition("?")[0]
    if not rest.startswith("/"):
        opaque = scheme or ":" not in rest.partition("/")[0]
        return Url(scheme) if opaque and (scheme or not _WRONG_ESCAPE.search(rest)) else None
    authority, path = "", rest
    if rest.startswith("//") and (scheme or not rest.startswith("///")):
        authority, slash, path = rest[2:].partition("/")
        path = slash + path
    return None if _WRONG_ESCAPE.search(path) else _authority(scheme, authority)


def _authority(scheme: str, text: str) -> Url | None:
    user, at, place = text.rpartition("@")
    if not _USER.fullmatch(user) or _WRONG_ESCAPE.search(user):
        return None
    host, port = _bracketed(place) if place.startswith("[") else _bare(place)
    return None if host is None else Url(scheme, host, port, bool(at) and ":" in user)


def _bracketed(place: str) -> tuple[str | None, str]:
    inside, bracket, rest = place[1:].rpartition("]")
    port = _PORT.fullmatch(rest)
    address, zone, name = inside.partition("%25")
    try:
        good = ipaddress.ip_address(address).version == 6 and not (
            zone and (not name or _WRONG_IN_HOST.search(name))
        )
    except ValueError:
        good = False
    return (f"{address}%{name}" if zone else address) if good and bracket and port else None, rest[
        1:
    ]


def _bare(place: str) -> tuple[str | None, str]:
    host, colon, number = place.rpartition(":")
    if not colon:
        host, number = place, ""
    if not _PORT.fullmatch(f":{number}") or _WRONG_IN_HOST.search(place) or "[" in place:
        return None, ""
    return host, number
