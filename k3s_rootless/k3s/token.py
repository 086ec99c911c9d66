"""Read the password in a K3s token as K3s does (pkg/clientaccess, v1.21 to v1.36)."""

from __future__ import annotations

import re

_PREFIX = "K10"
_HASH_LENGTH = 64
_BOOTSTRAP = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}", re.ASCII)
_NEW = re.compile(r"[A-Za-z0-9_~-]{16,256}", re.ASCII)
BOOTSTRAP_ID = re.compile(r"[a-z0-9]{6}", re.ASCII)


def password(token: str) -> str | None:
    """Return the password of a token; None for an invalid token or a bootstrap token.

    A token is a bare password or `K10<hash>::<user>:<password>`; K3s encrypts the datastore with
    the password alone.
    """
    if not token.startswith(_PREFIX):
        return None if not token or _BOOTSTRAP.fullmatch(token) else token
    found, separator, credentials = token.removeprefix(_PREFIX).partition("::")
    if separator and found and len(found) != _HASH_LENGTH:
        return None
    rest = credentials if separator else found
    if _BOOTSTRAP.fullmatch(rest):
        return None
    return rest.partition(":")[2] or None


def refusal(new: str) -> str | None:
    """Return why a text is not used as a new token; None if it can be used.

    The accepted characters need no quotes in a unit, an environment file or YAML.
    """
    if new.startswith(_PREFIX):
        return f"a new token must not start with {_PREFIX}: only the password is set"
    if new.isdecimal():
        return "a token of digits alone is a number in YAML"
    if not _NEW.fullmatch(new):
        return "it must have 16 to 256 letters, digits, `-`, `_` or `~`"
    return None
