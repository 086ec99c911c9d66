"""A real registry (Debian's docker-registry) with TLS and passwords, and a server of tokens."""

from __future__ import annotations

import base64
import json
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import load_pem_x509_certificate

USER, PASSWORD = "alice", "pass word:1"
_HTPASSWD = "alice:$2y$05$m.yT5309kYw/8UHiCKHVW.kLBCimX07IkkmDu9ZACRv5iAfjspEWi\n"
_ISSUER, _SERVICE = "tokens of the test", "the registry"
_LISTENING = re.compile(rb"listening on [^ ]*?:(\d+)")


@dataclass(frozen=True)
class Authority:
    """A certificate authority for 127.0.0.1 and localhost, and the PEM file of its certificate."""

    ca: trustme.CA
    path: Path

    @classmethod
    def create(cls, directory: Path) -> Authority:
        """Create one; its file is in `directory`."""
        ca, path = trustme.CA(), directory / "ca.pem"
        ca.cert_pem.write_to_path(path)
        path.chmod(0o644)
        return cls(ca, path)

    def certificate(self, directory: Path) -> str:
        """Write a certificate with its key to one file, and return its path."""
        path = directory / "server.pem"
        self.ca.issue_cert("127.0.0.1", "localhost").private_key_and_cert_chain_pem.write_to_path(
            str(path)
        )
        return str(path)


@contextmanager
def registry(
    directory: Path,
    authority: Authority | None = None,
    *,
    passwords: bool = False,
    tokens: str = "",
    address: str = "127.0.0.1:0",
    before: Sequence[str] = (),
) -> Iterator[int]:
    """Run a registry, and yield its port; `tokens` is the address of a server of tokens.

    `before` is a program that starts it, such as one that enters a namespace.
    """
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is not installed")
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "config.yml"
    content = _config(directory, authority, passwords=passwords, tokens=tokens, address=address)
    config.write_text(json.dumps(content))
    argv = [*before, "docker-registry", "serve", str(config)]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        assert process.stderr
        try:
            yield _port(process)
        finally:
            process.kill()


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stderr
    printed = b""
    for line in process.stderr:
        printed += line
        found = _LISTENING.search(line)
        if found:
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return int(found[1])
    raise AssertionError(printed)


def _config(
    directory: Path, authority: Authority | None, *, passwords: bool, tokens: str, address: str
) -> Mapping[str, object]:
    found: dict[str, object] = {
        "version": "0.1",
        "storage": {"filesystem": {"rootdirectory": str(directory / "data")}},
    }
    http: dict[str, object] = {"addr": address}
    if authority is not None:
        path = authority.certificate(directory)
        http["tls"] = {"certificate": path, "key": path}
    if passwords:
        (directory / "htpasswd").write_text(_HTPASSWD)
        found["auth"] = {"htpasswd": {"realm": "r", "path": str(directory / "htpasswd")}}
    if tokens and authority is not None:
        found["auth"] = {
            "token": {
                "realm": tokens,
                "service": _SERVICE,
                "issuer": _ISSUER,
                "rootcertbundle": str(authority.path),
            }
        }
    return {**found, "http": http}


class _Handler(BaseHTTPRequestHandler):
    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def token_server(authority: Authority, *, anonymous: bool = False) -> Iterator[str]:
    """Run a server that issues tokens to USER, or to all, and yield its address."""
    signer = authority.ca.issue_cert("signer", key_type=trustme.KeyType.RSA)

    class Handler(_Handler):
        def do_GET(self) -> None:
            expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            allowed = self.headers["Authorization"] in {f"Basic {expected}", None}
            if not allowed or (self.headers["Authorization"] is None and not anonymous):
                self.send_error(401)
                return
            asked = parse_qs(urlsplit(self.path).query).get("service", [""])
            self.answer(200, {}, json.dumps({"token": _token(signer, asked[0])}).encode())

    with _https(Handler, authority) as port:
        yield f"https://127.0.0.1:{port}/token?account=x"


@contextmanager
def web_server(
    status: int,
    headers: Mapping[str, str],
    body: bytes = b"",
    authority: Authority | None = None,
) -> Iterator[int]:
    """Run a server that has one answer to all requests, and yield its port."""

    class Handler(_Handler):
        def do_GET(self) -> None:
            self.answer(status, headers, body)

    with _https(Handler, authority) as port:
        yield port


@contextmanager
def _https(handler: type[BaseHTTPRequestHandler], authority: Authority | None) -> Iterator[int]:
    with ExitStack() as held:
        server = held.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        server.daemon_threads = True
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.ca.issue_cert("127.0.0.1").configure_cert(context)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        held.callback(server.shutdown)
        yield int(server.server_address[1])


def _token(signer: trustme.LeafCert, service: str) -> str:
    """Return a JSON Web Token for a registry (distribution, spec/auth/jwt)."""
    chain = load_pem_x509_certificate(signer.cert_chain_pems[0].bytes())
    key = serialization.load_pem_private_key(signer.private_key_pem.bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    der = base64.b64encode(chain.public_bytes(serialization.Encoding.DER)).decode()
    now = int(time.time())
    claims = {
        "iss": _ISSUER,
        "sub": USER,
        "aud": service,
        "nbf": now - 60,
        "iat": now - 60,
        "exp": now + 600,
        "jti": "1",
        "access": [],
    }
    signed = f"{_part({'typ': 'JWT', 'alg': 'RS256', 'x5c': [der]})}.{_part(claims)}"
    signature = key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{signed}.{_url_safe(signature)}"


def _part(content: Mapping[str, object]) -> str:
    return _url_safe(json.dumps(content).encode())


def _url_safe(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
