"""Replace names that identify the user and the host, including their encoded forms.

Each name always gets the same replacement.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from urllib.parse import quote

from k3s_rootless.support.facts import Names

USER = "some-user"
HOST = "some-host"
HOME = "/home/some-user"
DOMAIN = "some-domain.example"
IDENTIFIER = "[host-id]"
_SHORTEST = 2
# Common domains of networks, and of the cluster. They do not identify a host, and a reader needs
# them.
_COMMON = frozenset(
    {
        "local",
        "localdomain",
        "lan",
        "home",
        "internal",
        "intranet",
        "private",
        "test",
        "example",
        "arpa",
        "svc",
    }
)
# The characters of a unit name as systemd-escape(1) writes them, by byte value.
_KEPT = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:_.")
_ESCAPED = tuple(chr(byte) if byte in _KEPT else f"\\x{byte:02x}" for byte in range(256))
# A name can also begin after an escape: `%2Falice`, `\\x5calice`, `\\nalice`.
_BEFORE = (
    r"(?:(?<![a-z0-9])|(?<=%[0-9a-f][0-9a-f])|(?<=\\x[0-9a-f][0-9a-f])"
    r"|(?<=\\u[0-9a-f][0-9a-f][0-9a-f][0-9a-f])|(?<=\\[abfnrtv]))"
)


class Pseudonyms:
    """The pseudonyms for one host; empty names are ignored."""

    def __init__(self, names: Names) -> None:
        self._instead: dict[str, str] = {}
        for word, instead in _pairs(names):
            for form in _forms(word):
                # The first entry has priority: if the host has the same name as the user, it is
                # replaced as a user everywhere.
                self._instead.setdefault(form.lower(), instead)
        words = sorted(
            (word for word in self._instead if len(word) >= _SHORTEST), key=len, reverse=True
        )
        self._pattern: re.Pattern[str] | None = None
        if words:
            self._pattern = re.compile("|".join(map(_expression, words)), re.IGNORECASE)

    def replace(self, text: str) -> str:
        """Replace each name that is a separate word.

        `alice` is replaced in `/home/alice/x` and `alice@host`, but not in `malice`.
        """
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._instead.get(found[0].lower(), USER), text)


def _pairs(names: Names) -> Iterator[tuple[str, str]]:
    accounts, realms = _parted(names.user)
    domains = list(names.domains)
    yield from ((word, USER) for word in (names.user, *accounts, names.full_name) if word)
    for host in (names.host, *names.aliases):
        short, _, domain = host.partition(".")
        domains.append(domain)
        yield from ((word, HOST) for word in (host, short) if word)
    yield from ((realm, DOMAIN) for realm in realms)
    for domain in (*realms, *domains):
        yield from _of_domain(domain)
    yield from ((home.rstrip("/"), HOME) for home in (names.home, *names.homes) if home.rstrip("/"))
    yield from (
        (address, f"[host-address-{number}]") for number, address in enumerate(names.addresses, 1)
    )
    yield from ((one, IDENTIFIER) for one in names.identifiers)


def _parted(user: str) -> tuple[list[str], list[str]]:
    r"""Return the account and the domain of a user of a directory service.

    Formats: `CORP\alice` (winbind), `alice@corp` (sssd).
    """
    for separator in ("\\", "+"):
        domain, _, account = user.partition(separator)
        if domain and account:
            return [account], [domain]
    account, _, domain = user.partition("@")
    if account and domain:
        return [account], [domain]
    return [], []


def _of_domain(domain: str) -> Iterator[tuple[str, str]]:
    labels = domain.strip(".").lower().split(".")
    if ".".join(labels[-2:]) == "cluster.local":
        return
    for first in range(len(labels) - 1):
        # Includes the parent domains, down to two labels.
        yield ".".join(labels[first:]), DOMAIN
    if len(labels) == 1 and labels[0] and labels[0] not in _COMMON:
        # A single label may be an ordinary word, so it is replaced only after a dot.
        yield f".{labels[0]}", f".{DOMAIN}"


def _forms(word: str) -> Iterator[str]:
    yield word
    raw = word.encode("utf-8", "surrogateescape")
    yield quote(raw, safe="")
    yield quote(raw)
    yield html.escape(word)
    for ascii_only in (True, False):
        once = json.dumps(word, ensure_ascii=ascii_only)[1:-1]
        yield once
        yield json.dumps(once)[1:-1]
    # As systemd names a unit after a path or a user (systemd-escape(1)).
    yield _escaped(word.strip("/"))


def _escaped(word: str) -> str:
    escaped = "".join(map(_ESCAPED.__getitem__, word.encode("utf-8", "surrogateescape")))
    return escaped.replace("\\x2f", "-")


def _expression(word: str) -> str:
    escaped = re.escape(word)
    if re.fullmatch(r"[0-9.]+", word):
        return rf"(?<![0-9.]){escaped}(?![0-9]|\.[0-9])"
    if ":" in word and re.fullmatch(r"[0-9a-f:.]+", word):
        return rf"(?<![0-9a-f:]){escaped}(?![0-9a-f:])"
    if word[0].isalnum():
        escaped = f"{_BEFORE}{escaped}"
    return rf"{escaped}(?![a-z0-9])"
