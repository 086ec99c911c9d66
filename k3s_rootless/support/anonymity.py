"""Puts other names in the place of those that tell whose host it is: the same one for the same name, everywhere."""

from __future__ import annotations

import re

from k3s_rootless.support.facts import Names

USER = "somebody"
HOST = "some-host"
HOME = "/home/somebody"
_SHORTEST = 2


class Pseudonyms:
    """The pseudonyms of one host; empty names are left out."""

    def __init__(self, names: Names) -> None:
        self._instead = dict(_pairs(names))
        words = sorted((word for word in self._instead if len(word) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_expression, words)), re.IGNORECASE) if words else None

    def replace(self, text: str) -> str:
        """Replace each name that stands alone: `alice` in `/home/alice/x` and `alice@host`, not in `malice`."""
        if self._pattern is None:
            return text
        return self._pattern.sub(lambda found: self._instead.get(found[0].lower(), USER), text)


def _pairs(names: Names) -> list[tuple[str, str]]:
    pairs = [(names.user, USER), (names.full_name, USER)]
    short, _, domain = names.host.partition(".")
    pairs += [(names.host, HOST), (short, HOST), (domain if "." in domain else "", "some-domain.example")]
    pairs.append((names.home.rstrip("/"), HOME))
    pairs += [(address, f"[host-address-{number}]") for number, address in enumerate(names.addresses, 1)]
    # The first one counts: a host that is called as its user is a user everywhere.
    return [(word.lower(), instead) for word, instead in reversed(pairs) if word]


def _expression(word: str) -> str:
    escaped = re.escape(word)
    if re.fullmatch(r"[0-9.]+", word):
        return rf"(?<![0-9.]){escaped}(?![0-9]|\.[0-9])"
    if ":" in word:
        return rf"(?<![0-9a-f:]){escaped}(?![0-9a-f:])"
    return rf"(?<![a-z0-9]){escaped}(?![a-z0-9])"
