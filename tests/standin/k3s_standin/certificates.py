"""Certificates of K3s in DATA/server/tls.

Authorities and client certificates are kept over restarts; each start issues a new server
certificate. A client certificate is issued only if it is missing, and the kubeconfig in
DATA/server/cred that names it is written only then (K3s pkg/daemons/control/deps). The kubeconfig
therefore keeps the port of the start that issued the certificate.
"""

from __future__ import annotations

import json
import os
import ssl
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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


_YEAR = timedelta(days=365)
SAVED = "db/authorities.json"
"""New authorities in the datastore of the stand-in, below DATA/server."""
CLIENTS = {
    "admin": "client-admin",
    "supervisor": "client-supervisor",
    "controller": "client-controller",
    "scheduler": "client-scheduler",
    "api-server": "client-kube-apiserver",
    "cloud-controller": "client-k3s-cloud-controller",
}
"""Kubeconfigs in DATA/server/cred, each with its certificate in DATA/server/tls."""


@dataclass(frozen=True)
class Certificates:
    """Certificates and keys that a server and its administrator need to trust each other."""

    server_ca: bytes
    client_ca: bytes
    admin_certificate: bytes
    admin_key: bytes
    server: ssl.SSLContext
    ingress: ssl.SSLContext
    """TLS context of the listener that represents traefik on port 443."""


def prepare(directory: Path, names: tuple[str, ...], inner_port: int) -> Certificates:
    """Load or create the authorities and the clients, and issue the certificate of the server.

    The files are in `directory`. The server certificate is issued at each start.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    replaced = _use_saved(directory)
    # The listener of K3s regenerates its certificate if this file exists.
    (directory / "dynamic-cert-regenerate").unlink(missing_ok=True)
    server_ca, _ = _authority(directory, "server-ca")
    client_ca, new = _authority(directory, "client-ca")
    new = new or replaced
    for name, client in CLIENTS.items():
        if new or not all((directory / f"{client}.{kind}").exists() for kind in ("crt", "key")):
            _issue_client(directory, name, client, client_ca, inner_port)
    end = datetime.now(UTC) + _YEAR
    serving = server_ca.issue_cert(
        *_NAMES, *names, common_name="k3s", organization_name="k3s", not_after=end
    )
    write_private(directory / "serving-kube-apiserver.crt", _joined(serving))
    write_private(directory / "serving-kube-apiserver.key", serving.private_key_pem.bytes())
    server = _context(serving)
    server.verify_mode = ssl.CERT_OPTIONAL
    server.load_verify_locations(cafile=directory / "client-ca.crt")
    ingress = _context(
        trustme.CA().issue_cert("traefik.default", common_name="TRAEFIK DEFAULT CERT")
    )
    chain, key = ((directory / f"client-admin.{kind}").read_bytes() for kind in ("crt", "key"))
    # With a new authority, the files also have those that have signed it.
    bundle = (directory / "server-ca.crt").read_bytes()
    return Certificates(bundle, client_ca.cert_pem.bytes(), chain, key, server, ingress)


def _issue_client(
    directory: Path, name: str, client: str, authority: trustme.CA, inner_port: int
) -> None:
    groups = "system:masters" if name in {"admin", "supervisor", "api-server"} else "k3s"
    leaf = authority.issue_cert(
        f"{name}.k3s.invalid",
        common_name=f"system:{name}",
        organization_name=groups,
        not_after=datetime.now(UTC) + _YEAR,
    )
    write_private(directory / f"{client}.crt", _joined(leaf))
    write_private(directory / f"{client}.key", leaf.private_key_pem.bytes())
    text = f"""apiVersion: v1
clusters:
- cluster:
    server: https://127.0.0.1:{inner_port}
    certificate-authority: {directory}/server-ca.crt
  name: local
contexts:
- context:
    cluster: local
    namespace: default
    user: user
  name: Default
current-context: Default
kind: Config
preferences: {{}}
users:
- name: user
  user:
    client-certificate: {directory}/{client}.crt
    client-key: {directory}/{client}.key
"""
    write_private(directory.parent / "cred" / f"{name}.kubeconfig", text.encode())


def write_private(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file atomically, closed to other users from the beginning."""
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


def _use_saved(directory: Path) -> bool:
    """Write the authorities that `rotate-ca` has saved in the datastore; return if there are any.

    K3s issues a certificate again if it was not signed by the present authority.
    """
    saved = directory.parent / SAVED
    if not saved.exists():
        return False
    for name, text in json.loads(saved.read_text()).items():
        write_private(directory / name, text.encode())
    saved.unlink()
    return True


def _authority(directory: Path, name: str) -> tuple[trustme.CA, bool]:
    """Return an authority, and whether it is new."""
    certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
    if certificate.exists() and key.exists():
        return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes()), False
    authority = trustme.CA(
        organization_name="k3s", organization_unit_name=f"k3s-{name}@{int(time.time())}"
    )
    write_private(key, authority.private_key_pem.bytes())
    write_private(certificate, authority.cert_pem.bytes())
    return authority, True


def _joined(leaf: trustme.LeafCert) -> bytes:
    return b"".join(pem.bytes() for pem in leaf.cert_chain_pems)


def _context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    leaf.configure_cert(context)
    return context
