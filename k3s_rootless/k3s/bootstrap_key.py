"""The key under which K3s keeps its certificates in the datastore, encrypted with the token.

Source: K3s pkg/cluster/encrypt.go and pkg/util/token.go, v1.22 to v1.36. K3s exits if the datastore
has such a key of another token.
"""

from __future__ import annotations

import hashlib

PREFIX = "/bootstrap/"
_DIGITS = 12


def of(password: str) -> str:
    """Return the key for the password of a token."""
    digest = hashlib.sha256(password.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{PREFIX}{digest[:_DIGITS]}"
