"""Certificate authorities and certificates as K3s issues them, with any end."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
_PEM = serialization.Encoding.PEM


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as K3s writes it."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(_PEM, form, serialization.NoEncryption())


@dataclass(frozen=True)
class Issued:
    """A certificate, its key, and the certificates that have signed it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def pem(self) -> bytes:
        """The certificate and its chain."""
        return b"".join(one.public_bytes(_PEM) for one in (self.certificate, *self.chain))

    @property
    def key_pem(self) -> bytes:
        """The key."""
        return key_pem(self.key)


def issue(
    name: str,
    by: Issued | None = None,
    *,
    days: float = 3650,
    starts: datetime = NOW - timedelta(days=1),
    authority: bool = True,
    key: ec.EllipticCurvePrivateKey | None = None,
) -> Issued:
    """Issue a certificate that ends in so many days; without `by`, it signs itself."""
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, signer = (subject, key)
    if by is not None:
        issuer, signer = (by.certificate.subject, by.key)
    made = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(min(starts, NOW + timedelta(days=days) - timedelta(seconds=1)))
        .not_valid_after(NOW + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if not authority:
        made = made.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
    chain = () if by is None else (by.certificate, *by.chain)
    return Issued(made.sign(signer, hashes.SHA256()), key, chain)


def secret(issued: Issued) -> str:
    """Return the Secret in which K3s keeps the certificate of port 6443."""
    data = {
        "tls.crt": base64.b64encode(issued.pem).decode(),
        "tls.key": base64.b64encode(issued.key_pem).decode(),
    }
    return json.dumps({"kind": "Secret", "apiVersion": "v1", "data": data})


def write(tls: Path, name: str, issued: Issued) -> None:
    """Write a certificate and its key."""
    path = tls / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(issued.pem)
    key = path.with_suffix(".key")
    key.touch(mode=0o600)
    key.write_bytes(issued.key_pem)


AUTHORITIES = ("server-ca", "client-ca", "request-header-ca", "etcd/server-ca", "etcd/peer-ca")


def write_cluster(data: Path, *, leaf_days: float = 365, days: float = 3650) -> dict[str, Issued]:
    """Write the certificates of a K3s; return its authorities."""
    tls = data / "server/tls"
    found = {name: issue(f"k3s-{name}@1", days=days) for name in AUTHORITIES}
    for name, one in found.items():
        write(tls, f"{name}.crt", one)
    admin = issue("system:admin", found["client-ca"], days=leaf_days, authority=False)
    write(tls, "client-admin.crt", admin)
    write(tls, "client-ca.nochain.crt", found["client-ca"])
    kubelet = issue("system:node:a", found["client-ca"], days=leaf_days, authority=False)
    write(data / "agent", "client-kubelet.crt", kubelet)
    write(data / "agent", "client-ca.crt", found["client-ca"])
    dynamic = issue("k3s", found["server-ca"], days=leaf_days, authority=False)
    (tls / "dynamic-cert.json").write_text(secret(dynamic))
    return found
