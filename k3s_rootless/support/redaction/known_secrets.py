"""Collect secrets from their declarations, so that they can be found everywhere.

The declarations are in files of K3s, the environment and command lines.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from urllib.parse import unquote

from k3s_rootless import unit_file
from k3s_rootless.support.facts import SecretFiles
from k3s_rootless.support.redaction import addresses, assigned, names
from k3s_rootless.support.redaction.blocks import Blocks

_LONGEST = 16384
_MOST_FOLDED = 50
_ESCAPED = re.compile(r"\\(.)")
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}+={0,2}")


def from_files(files: SecretFiles) -> Iterator[str]:
    """Return the secrets in the files that hold secrets."""
    for token in files.tokens:
        yield from from_token(token)
    for text in files.texts:
        for value in from_text(text):
            yield value
            yield from _usable(_decoded(value))
    # `password,user,uid,groups`
    yield from _usable(line.partition(",")[0] for line in files.passwords.splitlines())
    yield from _usable(_encryption_keys(files.encryption))


def from_token(content: str) -> Iterator[str]:
    """Return the secrets in a token file: K3s's token, and its password without the rest."""
    token = content.strip()
    yield from _usable((token, token.rpartition(":")[2]))


def from_environment(environment: Mapping[str, str]) -> Iterator[str]:
    """Return the values with names that indicate a secret, and the passwords in addresses."""
    for name, value in environment.items():
        if names.secret(name) and not names.place(name, value):
            yield from _usable((value,))
        if names.address(name):
            yield from _of_address(value, certain=names.proxy(name))
        yield from from_addresses(value)


def from_argv(argv: Sequence[str]) -> Iterator[str]:
    """Return the values of flags such as `--token`, as one word or two.

    This includes `-t`, K3s's short form of `--token`.
    """
    for index, word in enumerate(argv):
        name, equals, value = word.partition("=")
        yield from from_addresses(word)
        if name.startswith("-") and (names.secret(name) or name == "-t"):
            given = value
            if not equals:
                given = "".join(argv[index + 1 : index + 2])
            if not names.place(name, given):
                yield from _usable((given,))
        if equals and names.address(name):
            yield from _of_address(value, certain=names.proxy(name))


def from_text(text: str) -> Iterator[str]:
    """Return the values in a text with names that indicate a secret.

    The text can be config.yaml, registries.yaml, a kubeconfig, a unit, or lines of NAME=value.
    """
    blocks = Blocks()
    block: list[str] = []
    for line in unit_file.joined(text).split("\n"):
        values = [line[span.start : span.end] for span in assigned.spans(line)]
        for value in values:
            yield from _usable(_readings(value))
        yield from from_addresses(line)
        continued = blocks.span(line)
        if continued is not None:
            block = [*block[-_MOST_FOLDED:], line[continued.start : continued.end].strip()]
            # Each line separately, and all lines folded into one, as in YAML.
            yield from _usable((block[-1], *_readings(" ".join(block))))
        elif line.strip():
            block = values[-1:]


def from_addresses(text: str) -> Iterator[str]:
    """Return the users with passwords in the addresses of a text, and the passwords alone.

    Passwords are returned both escaped and unescaped.
    """
    if "@" not in text:
        return
    for span in addresses.in_line(text):
        yield from _of_user(text[span.start : span.end])


def _of_address(text: str, *, certain: bool) -> Iterator[str]:
    found = addresses.credentials(text, certain=certain)
    if found is not None:
        yield from _of_user(text[found[0] : found[1]])


def _of_user(given: str) -> Iterator[str]:
    password = given.partition(":")[2]
    yield from _usable((given, password, unquote(password)))


def _readings(value: str) -> Iterator[str]:
    yield value
    # As systemd, YAML and JSON parse a value: a backslash escapes the next character, two percent
    # signs mean one, and two single quotes mean one.
    plain = _ESCAPED.sub(r"\1", value).replace("%%", "%")
    yield plain
    yield value.replace("''", "'")
    with suppress(ValueError, RecursionError):
        yield str(json.loads(f'"{value}"'))
    # A value up to the end of its line can be one word, followed by something else, such as a
    # comment.
    head, _, behind = value.strip().partition(" ")
    if behind:
        yield head
        yield value.partition(" #")[0]
    if ":" in plain:
        # `user:password` under one name, as in SetCredential= and htpasswd.
        yield plain.partition(":")[2]


def _usable(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        plain = value.strip()
        if plain and len(plain) <= _LONGEST and not plain.startswith(("${", "[redacted")):
            yield plain


def _decoded(value: str) -> Iterator[str]:
    # A kubeconfig contains its key as base64 of PEM; registries.yaml and docker's files contain
    # `user:password`.
    if not _BASE64.fullmatch(value) or len(value) % 4:
        return
    try:
        text = base64.b64decode(value, validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        return
    yield text
    if "\n" not in text:
        yield text.partition(":")[2]


def _encryption_keys(content: str) -> Iterator[str]:
    if not content:
        return
    try:
        document = json.loads(content)
        for resource in document.get("resources", ()):
            for provider in resource.get("providers", ()):
                for kind in provider.values():
                    yield from (key["secret"] for key in kind.get("keys", ()))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
