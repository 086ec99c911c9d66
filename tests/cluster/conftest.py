"""A cluster's authority, and the kubeconfig that K3s would write with it."""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml


@dataclass(frozen=True)
class Cluster:
    """Certificates as K3s makes them.

    The server's certificate is for 127.0.0.1 and localhost, the client's for an administrator.
    """

    authority: trustme.CA
    server: trustme.LeafCert
    client: trustme.LeafCert

    @classmethod
    def make(cls) -> Cluster:
        authority = trustme.CA(organization_name="k3s-server-ca")
        client = authority.issue_cert(
            common_name="system:admin", organization_name="system:masters"
        )
        return cls(authority, authority.issue_cert("127.0.0.1", "localhost"), client)

    def context(self) -> ssl.SSLContext:
        """Return the TLS context of the API server.

        It requires a client certificate of the same authority.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.configure_cert(context)
        self.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def document(self, server: str = "https://127.0.0.1:6443") -> dict[str, Any]:
        """Return the kubeconfig that K3s writes."""
        user = {
            "client-certificate-data": encoded(
                b"".join(blob.bytes() for blob in self.client.cert_chain_pems)
            ),
            "client-key-data": encoded(self.client.private_key_pem.bytes()),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "preferences": {},
            "clusters": [
                {
                    "name": "default",
                    "cluster": {
                        "certificate-authority-data": encoded(self.authority.cert_pem.bytes()),
                        "server": server,
                    },
                }
            ],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
            "current-context": "default",
            "users": [{"name": "default", "user": user}],
        }

    def write(self, path: Path, server: str = "https://127.0.0.1:6443") -> Path:
        path.write_text(yaml.safe_dump(self.document(server)))
        path.chmod(0o600)
        return path


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.make()
