"""The forms in which a secret that is known may stand in a text: as it is, quoted, and encoded.

A journal quotes what it prints (logrus and klog as Go does, JSON inside of JSON), an address
escapes it, a Secret of Kubernetes has it in base64, which has three forms for the same bytes, by
what stands before them.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 6
"""Characters.

What is shorter is found by its name only: taken out wherever it stands, it takes half of the words
along.
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
    """Return every text to look for, the longest first; long ones also in pieces, since a journal
    cuts lines.
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
    """Return the forms of one secret of one line; some may be the same."""
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
    # Once more: a kubeconfig, which has its data in base64, inside of a Secret.
    yield from _base64(base64.b64encode(raw))


def pieces(form: str) -> Iterator[str]:
    """Return the form; of a long one, pieces of which each larger part of it contains one."""
    if len(form) <= _LONGEST:
        yield form
        return
    yield from (form[at : at + PIECE] for at in range(0, len(form) - PIECE, PIECE))
    yield form[-PIECE:]


def _parts(secret: str) -> Iterator[str]:
    # Of several lines, each for itself (a key in PEM), and short ones not: `=` and `-----END` are
    # no secrets.
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) == 1:
        yield lines[0]
    else:
        yield from (line for line in lines if len(line) >= 16 and not line.startswith("-----"))
        # All of it where line breaks are escaped, as in JSON and in a unit.
        yield from set(_quoted(secret.strip()))


def _quoted(text: str) -> Iterator[str]:
    plain = json.dumps(text)[1:-1]
    yield plain
    # Go's strconv.Quote, which logrus and klog use, writes control characters in two digits.
    yield text.translate(_GO)
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    # Go's encoding/json escapes what HTML would read.
    yield plain.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _percent(text: str) -> Iterator[str]:
    yield text
    parts = text.split("%")
    yield parts[0] + "".join(f"%{part[:2].lower()}{part[2:]}" for part in parts[1:])


def _base64(raw: bytes) -> Iterator[str]:
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode("ascii")
        # Characters that also hold bits of what stands before or behind differ from case to case.
        sure = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield sure
        yield sure.replace("+", "-").replace("/", "_")
