"""Decide which names indicate a secret: of a variable, a flag, a header, a key of JSON or YAML."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN = re.compile(r"[^a-z0-9]+")
_DIGITS = "0123456789"
# Secret anywhere in a word, so that `GITHUBTOKEN` and `My_PassWord` match, except for letters after
# them that make another word: `tokenizer`, `tokenreviews`, `secretary`, `passwordless`.
_INSIDE = re.compile(
    r"passwords?+(?!less)|passwd|passphrase|passcode|passwort|kennwort|secret(?!ar)|"
    r"token(?!i[sz]|review)|credential|htpasswd"
    r"|apikey|accesskey|privatekey|presharedkey|accountkey|signingkey|encryptionkey"
    r"|dockerconfigjson"
)
# Secret as a separate word.
_WORDS = frozenset(
    {"pwd", "pw", "cookie", "cookies", "psk", "bearer", "jwt", "signature", "otp", "passkey"}
)
# Secret as the last word only: `PASS=…`, `_auth: …`; not `auth-mode` or `pass-through`.
_LAST = frozenset({"pass", "auth", "authorization", "sig", "pin", "pat"})
# Words after `pass` that show that it is not a password: `pass-through`.
_NO_PASSWORD = frozenset(
    {"through", "thru", "by", "fail", "count", "rate", "on", "over", "ratio", "filter"}
)
# Secret as the end of the last word: `PGPASS`, `DBPW`, `MYKEY`, except for English words and
# Kubernetes terms.
_ENDINGS = ("pass", "pwd", "pw", "auth", "key")
_ENDS_ALIKE = frozenset(
    """
    compass bypass encompass trespass surpass underpass overpass multipass lowpass highpass bandpass
    monkey donkey turkey hockey jockey whiskey hotkey lackey flunkey mickey smokey lowkey passkey
    publickey pubkey primarykey foreignkey sortkey nodekey podkey cachekey objectkey topologykey
    labelkey workkey queuekey
    """.split()  # noqa: SIM905 (words read best as words)
)
# Words that show that a key is not secret: a public key, or a key of a table, a cache or a
# Kubernetes object.
_OPEN_KEYS = frozenset(
    """
    public pub primary foreign sort partition label annotation topology taint toleration object
    cache queue work item map row index group config route routing translation registry field
    metadata match selector node pod pvc pv claim job rs svc service ns namespace resource metric
    event watch lock lookup unique storage lease endpoint column json yaml volume container image
    deployment daemonset statefulset replicaset cronjob configmap hot dict any arrow escape enter
    function shift authorized
    """.split()  # noqa: SIM905 (words read best as words)
)
# Words before `key` that make it secret at any position: `api_key_prod`, `SSH_KEY_PATH`.
_KEYS = frozenset(
    {
        "api",
        "access",
        "private",
        "secret",
        "encryption",
        "account",
        "ssh",
        "shared",
        "master",
        "signing",
        "deploy",
    }
)
# Last words that describe a secret but are not secret: its name, its lifetime.
_HARMLESS = frozenset(
    """
    name names ttl timeout type kind namespace namespaces expiration lifetime audience count size
    policy reviewer review webhook mode version controller cleaner signer ref refs length limit
    limits interval
    """.split()  # noqa: SIM905 (words read best as words)
)
_KEY = frozenset({"key", "keys"})
_AMOUNTS = frozenset({"max", "min", "num", "total", "avg", "burst"})
# `tokencleaner.go:117` is a place in a source, and `--preserve-credentials` a switch of nsenter(1).
_OTHERS = re.compile(r"[\w.-]{1,200}\.go|-{0,2}preserve-credentials")
_ADDRESSES = frozenset({"proxy", "url", "uri", "dsn", "endpoint", "mirror"})
_PLACES = ("file", "files", "path", "dir", "directory", "filename", "kubeconfig")
_PLACE = ("/", "~", "$", ".", "%", "-")
_KEY_FILE = re.compile(
    r"(?:/|~/|\./|\$|%[a-zA-Z]/)[^\s\"']{0,4096}\.(?:key|pem|crt|cert|pub|json|ya?ml|txt)"
)
WIDE = frozenset({"authorization", "cookie"})
"""The headers with spaces in the value."""


@lru_cache(maxsize=4096)
def words(name: str) -> tuple[str, ...]:
    """Split a name into its words, in lower case, without numbers.

    Examples: `K3S_AGENT_TOKEN`, `clientSecret`, `DB_PASSWORD2`.
    """
    return _split(_CAMEL.sub("_", name[-200:]))


def _split(name: str) -> tuple[str, ...]:
    parts = (part.rstrip(_DIGITS) for part in _BETWEEN.split(name.lower()))
    return tuple(filter(None, parts))


@lru_cache(maxsize=4096)
def kind(name: str) -> str:
    """Return the word that indicates a secret, such as `token`.

    Empty if the value of this name can be shown.
    """
    parts = words(name)
    if not parts or parts[-1] in _HARMLESS or _OTHERS.fullmatch(name):
        return ""
    if parts[-1] == "tokens" and not _AMOUNTS.isdisjoint(parts):
        return ""
    # Capitals separate words in `clientSecret` but not in `My_PassWord`, so both are tried.
    unparted = _split(name[-200:])
    for word in (*parts, *unparted):
        found = _INSIDE.search(word)
        if found is not None:
            return found[0]
        if word in _WORDS:
            return word
    return _by_last(parts, unparted[-1])


def _by_last(parts: tuple[str, ...], unparted: str) -> str:
    last = parts[-1]
    if last in _LAST or _is_secret_last(parts):
        return last
    found = _by_pair(parts)
    if found:
        return found
    if last in _KEY:
        secret_key = len(parts) > 1 and parts[-2] not in _OPEN_KEYS
        return "key" if secret_key else ""
    if last in _ENDS_ALIKE or unparted in _ENDS_ALIKE:
        return ""
    return next((end for end in _ENDINGS if last.endswith(end)), "")


def _by_pair(parts: tuple[str, ...]) -> str:
    for first, after in pairwise(parts):
        if first in _KEYS and after in _KEY:
            return "key"
        if first == "pass" and after not in _NO_PASSWORD:
            return "pass"
    return ""


def _is_secret_last(parts: tuple[str, ...]) -> bool:
    """Return whether the last word is secret because of the words before it."""
    if parts[-1] == "endpoint":
        return "datastore" in parts
    # `client-key-data`, `certificate-authority-data`.
    return parts[-1] == "data" and not {"key", "certificate"}.isdisjoint(parts)


def secret(name: str) -> bool:
    """Return whether the value of this name must be hidden."""
    return bool(kind(name))


@lru_cache(maxsize=4096)
def address(name: str) -> bool:
    """Return whether the value of this name is an address, which can contain a password.

    Examples: `HTTPS_PROXY`, `DATABASE_URL`.
    """
    parts = words(name)
    return (
        bool(parts)
        and (parts[-1] in _ADDRESSES or parts[-1].endswith("proxy"))
        and parts[-2:-1] not in {("no",), ("kube",)}
    )


def proxy(name: str) -> bool:
    """Return whether the value of this name is the address of a proxy."""
    return address(name) and words(name)[-1].endswith("proxy")


def may_place(name: str) -> bool:
    """Return whether a value of this name can be the place of a secret instead of the secret."""
    parts = words(name)
    return bool(parts) and (
        parts[-1].endswith((*_PLACES, "key")) or parts in {("pwd",), ("oldpwd",)}
    )


def place(name: str, value: str) -> bool:
    """Return whether the value is the place of a secret instead of the secret.

    Examples: `K3S_TOKEN_FILE=/run/token`, `--client-key=/etc/a.key`.
    """
    parts = words(name)
    if parts in {("pwd",), ("oldpwd",)}:
        # The working directory of a shell, not a password.
        return value.startswith("/")
    if not parts:
        return False
    if parts[-1].endswith(_PLACES) and value.startswith(_PLACE):
        return True
    return parts[-1].endswith("key") and _KEY_FILE.fullmatch(value) is not None


def wide(name: str) -> bool:
    """Return whether the value continues to the end of the line."""
    parts = words(name)
    return bool(parts) and parts[-1] in WIDE
