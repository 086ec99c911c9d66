"""Which names promise a secret: of a variable, a flag, a header, a key of JSON or YAML."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN = re.compile(r"[^a-z0-9]+")
_SECRET = frozenset(
    """
    password passwords passwd passphrase passcode pwd pgpassword secret secrets clientsecret token tokens authtoken
    identitytoken registrytoken credential credentials setcredential setcredentialencrypted authorization cookie cookies psk
    presharedkey apikey accesskey secretkey privatekey accountkey sharedaccesskey bearer jwt signature dockerconfigjson htpasswd
    otp
    """.split()  # noqa: SIM905 (words read best as words)
)
# Secret as the last word only: `PASS=…`, `_auth: …`; not `auth-mode` or `pass-through`.
_SECRET_LAST = frozenset({"pass", "auth", "sig", "pin"})
_KEYS = frozenset(
    {"api", "access", "private", "secret", "encryption", "account", "ssh", "shared", "master", "signing", "deploy"}
)
# What is called after a secret and is none: what it is called, how long it holds.
_HARMLESS = frozenset(
    """
    name names ttl timeout type kind namespace namespaces expiration lifetime audience count size policy reviewer review webhook
    mode version controller cleaner signer
    """.split()  # noqa: SIM905 (words read best as words)
)
_PLACES = frozenset({"file", "files", "path", "dir", "directory", "filename"})
_PLACE = ("/", "~", "$", ".", "%", "-")
WIDE = frozenset({"authorization", "cookie"})
"""Headers whose value has spaces in it."""


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """Split a name into its words, in lower case: `K3S_AGENT_TOKEN`, `clientSecret` and `X-Auth-Token` alike."""
    return tuple(word for word in _BETWEEN.split(_CAMEL.sub("_", name[-200:]).lower()) if word)


@lru_cache(maxsize=4096)
def secret(name: str) -> bool:
    """Tell whether what has this name is to be kept back."""
    parts = words(name)
    if not parts or parts[-1] in _HARMLESS:
        return False
    if parts[-1] in _SECRET_LAST or not _SECRET.isdisjoint(parts):
        return True
    if "datastore" in parts and parts[-1] == "endpoint":
        return True
    # `client-key-data`, `certificate-authority-data`, `api_key`, `AWS_ACCESS_KEY`, `PrivateKey`.
    if parts[-1] == "data" and not {"key", "certificate"}.isdisjoint(parts):
        return True
    return any(key == "key" and before in _KEYS for before, key in pairwise(parts))


def place(name: str, value: str) -> bool:
    """Tell whether the value is but the place where a secret lies: `K3S_TOKEN_FILE=/run/token`."""
    parts = words(name)
    if parts in {("pwd",), ("oldpwd",)}:
        # A shell's, and no password.
        return value.startswith("/")
    return bool(parts) and parts[-1] in _PLACES and value.startswith(_PLACE)


def wide(name: str) -> bool:
    """Tell whether the value runs to the end of the line."""
    return not WIDE.isdisjoint(words(name))
