"""Judge new certificate authorities: whether K3s accepts them, and the cluster trusts them.

K3s has the same rules (its pkg/server/handlers/cert.go), and reports a violation only in its log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from k3s_rootless.cluster.certificates import fields
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from k3s_rootless.cluster.certificates.records import Authority

_LONGEST_CHAIN = 10
_PUBLIC = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
_END = b"-----END"


def problems(old: Authority, new: Authority, now: datetime) -> Iterator[str]:
    """Yield why K3s would refuse an authority, or why the cluster would not trust it."""
    if not new.certificate:
        if new.key:
            yield f"{new.name}: there is a new key, but no new certificate"
        return
    try:
        present, chain = fields.load(old.certificate), fields.load(new.certificate)
        yield from (f"{new.name}: {why}" for why in _problems(present, chain, new.key, now))
    except (RootlessError, ValueError, UnsupportedAlgorithm):
        yield f"{new.name}: it is not valid X.509 in PEM"


def _problems(
    old: Sequence[x509.Certificate], chain: Sequence[x509.Certificate], key: bytes, now: datetime
) -> Iterator[str]:
    new = chain[0]
    if not fields.is_authority(new):
        yield "its first certificate is not that of an authority"
    if not new.not_valid_before_utc <= now <= new.not_valid_after_utc:
        yield "its first certificate is not valid now"
    if not key:
        yield "there is no key for it"
    elif _public(_private(key)) != _public(new.public_key()):
        yield "its key does not belong to its first certificate"
    if len(chain) == 1:
        yield "it has one certificate only, without those that have signed it"
    roots = [one for one in old if _is_root(one)]
    between = [one for one in (*old, *chain[1:]) if not _is_root(one)]
    if not _is_trusted(new, roots, between, now):
        yield "the present authority has not signed it, directly or through another certificate"


def service_key_problem(old: bytes, new: bytes) -> str:
    """Return why tokens of service accounts would become invalid; empty if they stay valid."""
    if not new:
        return ""
    try:
        present = next(iter(_keys(old)))
        if any(_public(one) == _public(present) for one in _keys(new)):
            return ""
    except (ValueError, TypeError, UnsupportedAlgorithm, StopIteration):
        return "service.key: it is not a list of private keys in PEM"
    return "service.key: it does not contain the present key, so all tokens would become invalid"


def _keys(pem: bytes) -> Iterator[PublicKeyTypes]:
    """Yield the public keys of the private keys in a PEM file."""
    block: list[bytes] = []
    for line in pem.splitlines(keepends=True):
        block.append(line)
        if line.startswith(_END):
            yield _private(b"".join(block))
            block = []


def _private(pem: bytes) -> PublicKeyTypes:
    return serialization.load_pem_private_key(pem, None).public_key()


def _public(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(*_PUBLIC)


def _is_root(one: x509.Certificate) -> bool:
    """Return whether K3s takes a certificate for a root: no other key has signed it."""
    try:
        by = one.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
        own = one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return True
    return by.key_identifier in {None, own.digest}


def _is_trusted(
    one: x509.Certificate,
    roots: Sequence[x509.Certificate],
    between: Sequence[x509.Certificate],
    now: datetime,
    depth: int = 0,
) -> bool:
    if one in roots:
        return True
    if depth == _LONGEST_CHAIN:
        return False
    return any(
        _has_signed(issuer, one, now) and _is_trusted(issuer, roots, between, now, depth + 1)
        for issuer in (*roots, *between)
        if issuer != one
    )


def _has_signed(issuer: x509.Certificate, one: x509.Certificate, now: datetime) -> bool:
    if not issuer.not_valid_before_utc <= now <= issuer.not_valid_after_utc:
        return False
    if not fields.is_authority(issuer):
        return False
    try:
        one.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
