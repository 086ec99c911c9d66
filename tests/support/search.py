"""Search for a secret in a text: unchanged, decoded and encoded.

It shares no code with the redactor.
"""

from __future__ import annotations

import base64
import binascii
import html
import io
import json
import re
import tarfile
from collections.abc import Iterator
from urllib.parse import quote, unquote

_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){6,}")


def unpacked(archive: bytes) -> dict[str, str]:
    """Return the files of a bundle by their names without the folder."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as opened:
        return {
            member.name.partition("/")[2]: content.read().decode("utf-8", "replace")
            for member in opened.getmembers()
            if (content := opened.extractfile(member))
        }


class Haystack:
    """Text, and everything that can be decoded from it."""

    def __init__(self, text: str) -> None:
        self.text = "\n".join((text, *_decoded(text)))

    def holds(self, secret: str) -> bool:
        """Return whether the text contains the secret: unchanged, quoted or encoded."""
        return any(form in self.text for form in forms(secret))


def _decoded(text: str) -> Iterator[str]:
    yield html.unescape(text)
    yield unquote(text)
    yield text.replace("\\\\", "\\").replace('\\"', '"')
    for run in set(_BASE64.findall(text)):
        plain = run.rstrip("=").translate(str.maketrans("-_", "+/"))
        for start in range(4):
            part = plain[start:]
            part = part[: len(part) - len(part) % 4]
            try:
                once = base64.b64decode(part)
            except binascii.Error:
                continue
            yield once.decode("utf-8", "replace")
            if re.fullmatch(rb"[A-Za-z0-9+/]{8,}={0,2}", once) and len(once) % 4 == 0:
                yield base64.b64decode(once).decode("utf-8", "replace")
    for run in set(_HEX.findall(text)):
        yield bytes.fromhex(run).decode("utf-8", "replace")


def forms(secret: str) -> Iterator[str]:
    """Yield the forms that a secret can have in a text."""
    raw = secret.encode()
    yield from (
        secret,
        quote(secret, safe=""),
        quote(secret),
        json.dumps(secret)[1:-1],
        html.escape(secret),
        raw.hex(),
        raw.hex().upper(),
    )
    for before in range(3):
        encoded = base64.b64encode(b"." * before + raw).decode()
        yield encoded[4 if before else 0 : (before + len(raw)) // 3 * 4]
