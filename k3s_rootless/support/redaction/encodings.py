"""The forms in which a known secret can occur in a text: plain, quoted, and encoded.

A journal contains quoted text (logrus and klog quote like Go, JSON can be within JSON), an address
contains escaped text, and a Secret of Kubernetes contains base64. Base64 has three forms for the
same bytes, which depend on the bytes before them.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""The minimum number of characters of a secret that is searched everywhere.

Shorter secrets are found only by their names, because a search for them would also remove parts of
ordinary words.
"""
_LONGEST = 64
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127)}
_GO = _CONTROLS | str.maketrans(
    {
        '"': '\\"',
        "\\": "\\\\",
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\v": "\\v",
    }
)
PIECE = 32


def literals(secrets: Iterable[str]) -> tuple[str, ...]:
    """Return all texts to search for, the longest first.

    Long texts are also split into pieces, because a journal cuts lines.
    """
    found = {
        piece
        for secret in secrets
        for part in _parts(secret)
        for form in forms(part)
        for piece in pieces(form)
        if len(piece) >= SHORTEST
    }
    return tuple(sorted(found, key=lambda text: (-len(text), text)))


def forms(secret: str) -> Iterator[str]:
    """Return the forms of one secret without line breaks; some can be equal."""
    raw = secret.encode("utf-8", "surrogateescape")
    yield secret
    for escaped in _quoted(secret):
        yield escaped
        yield from _quoted(escaped)
    for safe in ("", "/", "$&+,;=:@", "$&+,/:;=?@"):
        yield from _percent(quote(raw, safe=safe))
    yield from _percent(quote_plus(raw))
    yield html.escape(secret)
    yield secret.replace("'", "'\\''")
    yield secret.replace("'", "''")
    yield secret.replace("\\", "\\\\").replace("%", "%%").replace('"', '\\"')
    yield raw.hex()
    yield raw.hex().upper()
    yield from _base64(raw)
    # Encoded twice: a kubeconfig, which contains base64 data, within a Secret.
    yield from _base64(base64.b64encode(raw))


def pieces(form: str) -> Iterator[str]:
    """Return a short form as it is; split a long form into pieces.

    Each larger part of a long form contains at least one of the pieces.
    """
    if len(form) <= _LONGEST:
        yield form
        return
    yield from (form[at : at + PIECE] for at in range(0, len(form) - PIECE, PIECE))
    yield form[-PIECE:]


def _parts(secret: str) -> Iterator[str]:
    # Each line of a secret with several lines (a key in PEM) is used separately. Short lines are
    # skipped, because `=` and `-----END` are not secrets.
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) == 1:
        yield lines[0]
    else:
        yield from (line for line in lines if len(line) >= 16 and not line.startswith("-----"))
        # The complete text, if line breaks are escaped, as in JSON and in a unit.
        yield from set(_quoted(secret.strip()))


def _quoted(text: str) -> Iterator[str]:
    plain = json.dumps(text)[1:-1]
    yield plain
    # Go's strconv.Quote, used by logrus and klog, writes control characters with two digits.
    yield text.translate(_GO)
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    # Go's encoding/json escapes characters with a meaning in HTML.
    yield plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _percent(text: str) -> Iterator[str]:
    yield text
    parts = text.split("%")
    yield parts[0] + "".join(f"%{part[:2].lower()}{part[2:]}" for part in parts[1:])


def _base64(raw: bytes) -> Iterator[str]:
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode("ascii")
        # Characters that also contain bits of the bytes before or after are different each time.
        sure = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield sure
        yield sure.replace("+", "-").replace("/", "_")
