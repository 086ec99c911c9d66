"""The fields of certificates, read with cryptography; loading it takes longer than `status` takes.

Only `certs` needs these fields. The end alone is read by `validity`.
"""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from k3s_rootless.cluster.certificates.records import Fields
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from collections.abc import Iterator

_USAGES = {ExtendedKeyUsageOID.CLIENT_AUTH: "client", ExtendedKeyUsageOID.SERVER_AUTH: "server"}


def load(pem: bytes) -> tuple[x509.Certificate, ...]:
    """Return the certificates in a PEM file, in order. Raises RootlessError."""
    with _parsing():
        return tuple(x509.load_pem_x509_certificates(pem))


def read(pem: bytes) -> tuple[Fields, ...]:
    """Return the fields of the certificates in a PEM file, in order. Raises RootlessError."""
    found = load(pem)
    with _parsing():
        return tuple(map(_fields, found))


@contextmanager
def _parsing() -> Iterator[None]:
    """Raise RootlessError for a field that is not valid; allow the serial number 0.

    K3s's authorities have this number, and cryptography warns of it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            yield
    except ValueError as error:
        raise RootlessError("cannot read a certificate: it is not valid X.509") from error


def _fields(one: x509.Certificate) -> Fields:
    return Fields(
        subject=_name(one.subject),
        issuer=_name(one.issuer),
        usages=tuple(_usages(one)),
        authority=is_authority(one),
        serial=f"{one.serial_number:x}",
        starts=one.not_valid_before_utc,
        ends=one.not_valid_after_utc,
    )


def is_authority(one: x509.Certificate) -> bool:
    """Return whether a certificate may sign others. Raises ValueError."""
    try:
        return one.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _usages(one: x509.Certificate) -> Iterator[str]:
    try:
        found = one.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    for usage in found:
        yield _USAGES.get(usage, usage.dotted_string)


def _name(name: x509.Name) -> str:
    """Return the common name, or the whole name if there is none."""
    for attribute in name.get_attributes_for_oid(NameOID.COMMON_NAME):
        return str(attribute.value)
    return name.rfc4514_string()
