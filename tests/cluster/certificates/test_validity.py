"""Tests of the end of a certificate's validity.

The result is the same as from cryptography. Invalid input never leads to a traceback.
"""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from k3s_rootless.cluster.certificates import validity
from k3s_rootless.errors import RootlessError

KEY = ec.generate_private_key(ec.SECP256R1())
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
# From the first time of UTCTime to the last time of X.509 ("99991231235959Z" means that there is no
# end, RFC 5280).
times = st.datetimes(datetime(1951, 1, 1), datetime(9999, 12, 31, 23, 59, 59)).map(  # noqa: DTZ001
    lambda one: one.replace(microsecond=0)
)


def certificate(until: datetime, name: str = "system:admin", serial: int = 1) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), serial)
    return (
        builder.not_valid_before(datetime(1950, 1, 2))  # noqa: DTZ001
        .not_valid_after(until)
        .sign(KEY, hashes.SHA256())
    )


WHOLE = certificate(datetime(2030, 1, 1, tzinfo=UTC)).public_bytes(DER)


@given(times, st.text(min_size=1, max_size=16), st.integers(1, 2**158))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_time_matches_cryptography(until: datetime, name: str, serial: int) -> None:
    made = certificate(until, name, serial)

    assert (
        made.not_valid_after_utc
        == validity.until(made.public_bytes(DER))
        == validity.until(made.public_bytes(PEM))
    )


def test_the_first_certificate_of_a_chain_is_used() -> None:
    near, far = datetime(2027, 11, 24, 1, 2, 3, tzinfo=UTC), datetime(2051, 1, 1, tzinfo=UTC)
    chain = certificate(near).public_bytes(PEM) + certificate(far).public_bytes(PEM)

    assert near == validity.until(chain)


@given(st.binary(max_size=400))
def test_invalid_certificates_are_refused(content: bytes) -> None:
    with pytest.raises(RootlessError, match=r"it is not valid X\.509"):
        validity.until(content)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_damaged_certificate_gives_a_time_or_an_error(data: st.DataObject) -> None:
    der = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(der)))
    for damaged in (bytes(der), bytes(der[:cut])):
        try:
            assert validity.until(damaged).tzinfo is UTC
        except RootlessError as error:
            assert "not valid X.509" in error.message  # noqa: PT017 (both are valid)
