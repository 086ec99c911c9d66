"""The challenges of a registry: the header WWW-Authenticate (RFC 9110, section 11.6.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlunsplit

from k3s_rootless import web_address

_SCHEME = re.compile(r"(?:^|,)\s*(?P<scheme>basic|bearer)(?:\s+|$)", re.IGNORECASE)
_PARAMETER = re.compile(
    r'(?P<name>[A-Za-z_]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<word>[^\s,]+))'
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A way to authenticate: its scheme in lower case, and its parameters."""

    scheme: str
    parameters: Mapping[str, str]


def read(values: Iterable[str]) -> tuple[Challenge, ...]:
    """Return the challenges that containerd knows, Bearer first."""
    found: list[Challenge] = []
    for value in values:
        starts = list(_SCHEME.finditer(value))
        ends = [*(one.start() for one in starts), len(value)][1:]
        found += [
            Challenge(one["scheme"].lower(), _parameters(value[one.end() : end]))
            for one, end in zip(starts, ends, strict=False)
        ]
    return tuple(sorted(found, key=lambda one: one.scheme != "bearer"))


def token_address(challenge: Challenge) -> str:
    """Return the address that issues a token. Raises ValueError if the challenge names none."""
    realm = web_address.split(challenge.parameters.get("realm", ""))
    if realm.scheme not in {"http", "https"} or not realm.hostname:
        raise ValueError("its challenge has no address for tokens")
    service = challenge.parameters.get("service", "")
    query = realm.query
    if service:
        query = "&".join(filter(None, (query, urlencode({"service": service}))))
    return urlunsplit((realm.scheme, realm.netloc, realm.path or "/", query, ""))


def _parameters(text: str) -> dict[str, str]:
    return {
        one["name"].lower(): re.sub(r"\\(.)", r"\1", one["quoted"])
        if one["quoted"] is not None
        else one["word"]
        for one in _PARAMETER.finditer(text)
    }
