"""K3s's certificates: authorities that outlive restarts in DATA/server/tls, and leaves that each start renews."""

from __future__ import annotations

import os
import ssl
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import trustme

_NAMES = (
    "127.0.0.1",
    "::1",
    "10.43.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True)
class Certificates:
    """What a server and its administrator need to trust each other."""

    server_ca: bytes
    client_ca: bytes
    admin_certificate: bytes
    admin_key: bytes
    server: ssl.SSLContext
    ingress: ssl.SSLContext
    """What answers on port 443 in traefik's stead."""


def prepare(directory: Path, names: tuple[str, ...] = ()) -> Certificates:
    """Load or create the authorities in `directory`, and issue this start's certificates."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    server_ca = _authority(directory, "server-ca")
    client_ca = _authority(directory, "client-ca")
    serving = server_ca.issue_cert(*_NAMES, *names, common_name="k3s", organization_name="k3s")
    admin = client_ca.issue_cert("admin.k3s.invalid", common_name="system:admin", organization_name="system:masters")
    chain, key = _joined(admin), admin.private_key_pem.bytes()
    write_private(directory / "client-admin.crt", chain)
    write_private(directory / "client-admin.key", key)
    write_private(directory / "serving-kube-apiserver.crt", _joined(serving))
    write_private(directory / "serving-kube-apiserver.key", serving.private_key_pem.bytes())
    server = _context(serving)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(cadata=client_ca.cert_pem.bytes().decode())
    ingress = _context(trustme.CA().issue_cert("traefik.default", common_name="TRAEFIK DEFAULT CERT"))
    return Certificates(server_ca.cert_pem.bytes(), client_ca.cert_pem.bytes(), chain, key, server, ingress)


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all, closed to others from the first moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _authority(directory: Path, name: str) -> trustme.CA:
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())
    authority = trustme.CA(organization_name="k3s", organization_unit_name=f"k3s-{name}@{int(time.time())}")
    write_private(key, authority.private_key_pem.bytes())
    write_private(certificate, authority.cert_pem.bytes())
    return authority


def _joined(leaf: trustme.LeafCert) -> bytes:
    return b"".join(pem.bytes() for pem in leaf.cert_chain_pems)


def _context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    leaf.configure_cert(context)
    return context
