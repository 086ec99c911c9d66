"""The end of a certificate's validity, read from its DER; no other field of X.509 is needed.

The standard library reads this field only from the certificate of a peer (`SSLSocket.getpeercert`),
not from our own. `cryptography` takes longer to load than `status` takes (callgrind, November
2026), and openssl(1) can be missing. A test compares the results with cryptography.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

from k3s_rootless.errors import RootlessError

_PEM = re.compile(
    rb"-----BEGIN CERTIFICATE-----\s+(?P<der>[A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----"
)
_SEQUENCE, _INTEGER, _VERSION = 0x30, 0x02, 0xA0
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_TIME = re.compile(rb"\d{14}Z")


def until(certificate: bytes) -> datetime:
    """Return the end of a certificate's validity, in UTC; of a PEM chain, that of its first.

    Raises RootlessError.
    """
    try:
        return _not_after(_der(certificate))
    except (ValueError, IndexError, binascii.Error) as error:
        raise RootlessError("cannot read a certificate: it is not valid X.509") from error


def _der(certificate: bytes) -> bytes:
    found = _PEM.search(certificate)
    if found is None:
        return certificate
    return base64.b64decode(found["der"])


def _not_after(der: bytes) -> datetime:
    # RFC 5280, 4.1: Certificate and tbsCertificate are sequences. The latter holds version
    # (optional), serialNumber, signature, issuer, validity.
    certificate = _content(der, 0, _SEQUENCE)[0]
    signed = _content(certificate, 0, _SEQUENCE)[0]
    at = 0
    if signed[0] == _VERSION:
        at = _content(signed, 0, _VERSION)[1]
    for kind in (_INTEGER, _SEQUENCE, _SEQUENCE):
        at = _content(signed, at, kind)[1]
    validity = _content(signed, at, _SEQUENCE)[0]
    at = _content(validity, 0, validity[0])[1]
    kind = validity[at]
    text = _content(validity, at, kind)[0]
    if kind == _UTC_TIME:
        # A year has two digits; from 50 on, it is in the last century (RFC 5280, 4.1.2.5.1).
        century = b"19" if text[:2] >= b"50" else b"20"
        text = century + text
    if kind not in {_UTC_TIME, _GENERALIZED_TIME} or not _TIME.fullmatch(text):
        raise ValueError(text)
    year, rest = divmod(int(text[:-1]), 10**10)
    month, day, hour, minute, second = (rest // 100**power % 100 for power in (4, 3, 2, 1, 0))
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def _content(der: bytes, at: int, kind: int) -> tuple[bytes, int]:
    """Return the content of the element at `at`, and the start of the next element."""
    if der[at] != kind:
        raise ValueError(kind)
    length, begin = der[at + 1], at + 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[at + 2 : begin])
    if begin + length > len(der):
        raise ValueError(length)
    return der[begin : begin + length], begin + length
