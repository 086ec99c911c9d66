"""Tests of the HTTPS client: TLS, redirects, proxies, limits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from k3s_rootless.binaries import https
from k3s_rootless.binaries.facts import Limits
from k3s_rootless.binaries.https import Client, Transient
from k3s_rootless.errors import PeerError, RootlessError
from tests.fakes.connect_proxy import connect_proxy
from tests.fakes.release_server import LIMITS, Fault, ReleaseServer


def test_a_document_is_read(client: Client, server: ReleaseServer) -> None:
    server.files["/x"] = b"text"

    assert https.Document(200, "", "text") == client.document(f"{server.url}/x", 4)


def test_a_certificate_of_another_authority_is_refused(
    server: ReleaseServer, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    client = Client({"SSL_CERT_FILE": str(other)}, LIMITS)

    with pytest.raises(PeerError, match="certificate is not trusted") as raised:
        client.document(f"{server.url}/x", 4)

    assert not isinstance(raised.value, Transient)
    assert "SSL_CERT_FILE" in (raised.value.hint or "")
    assert [] == server.requests


def test_a_certificate_for_another_name_is_refused(client: Client, server: ReleaseServer) -> None:
    with pytest.raises(PeerError, match="not trusted"):
        client.document(f"https://127.0.0.1:{server.port}/x", 4)


@pytest.mark.parametrize("content", ["", "junk"])
def test_a_file_without_authorities_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(content)

    with pytest.raises(RootlessError, match=str(file)):
        Client({"SSL_CERT_FILE": str(file)})


def test_the_authorities_of_curl_are_used(server: ReleaseServer) -> None:
    server.files["/x"] = b"text"
    client = Client({"CURL_CA_BUNDLE": str(server.ca)}, LIMITS)

    assert 200 == client.document(f"{server.url}/x", 4).status


@pytest.mark.parametrize(
    "target", ["http://localhost/x", "ftp://localhost/x", "file:///etc/passwd"]
)
def test_a_redirect_must_stay_on_https(client: Client, server: ReleaseServer, target: str) -> None:
    server.fail("/x", Fault(302, b"", {"Location": target}))

    with pytest.raises(PeerError, match="leaves https"):
        client.document(f"{server.url}/x", 4)


def test_redirects_end(client: Client, server: ReleaseServer) -> None:
    server.fail("/x", Fault(302, b"", {"Location": "/x"}, permanent=True))

    with pytest.raises(PeerError, match="redirects too often"):
        client.document(f"{server.url}/x", 4)

    assert 6 == len(server.requests)


def test_a_document_that_never_ends_has_a_time_limit(server: ReleaseServer) -> None:
    server.files["/x"] = b"x" * 1_000_000
    server.fail("/x", Fault(pause=0.05))
    client = Client(server.environ, replace(LIMITS, document=0.5))

    with pytest.raises(Transient, match="no complete answer within"):
        client.document(f"{server.url}/x", 2_000_000)


def test_a_server_that_does_not_answer(server: ReleaseServer) -> None:
    server.fail("/x", Fault(cut=0, pause=3, status=200, headers={"Content-Length": "9"}))
    client = Client(server.environ, replace(LIMITS, read=0.2))

    with pytest.raises(Transient):
        client.document(f"{server.url}/x", 100)


def test_a_port_without_a_server_and_a_name_without_an_address(client: Client) -> None:
    with pytest.raises(Transient, match="connection refused"):
        client.document("https://localhost:1/x", 4)
    with pytest.raises(Transient, match="cannot be resolved"):
        client.document("https://no-such-host.invalid/x", 4)


def test_a_proxy_makes_the_connection(server: ReleaseServer) -> None:
    server.files["/x"] = b"text"
    with connect_proxy() as proxy:
        environ = {**server.environ, "https_proxy": f"http://alice:s%40t@{proxy.address}"}
        answer = Client(environ, LIMITS).document(f"{server.url}/x", 4)

    assert "text" == answer.text
    assert proxy.heads[0].startswith(f"CONNECT localhost:{server.port} ")
    assert "Basic YWxpY2U6c0B0" in proxy.heads[0]


@pytest.mark.parametrize("no_proxy", ["localhost", "*", ".example, localhost", "LOCALHOST"])
def test_no_proxy_is_respected(server: ReleaseServer, no_proxy: str) -> None:
    server.files["/x"] = b"text"
    environ = {**server.environ, "HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": no_proxy}

    assert "text" == Client(environ, LIMITS).document(f"{server.url}/x", 4).text


def test_a_proxy_that_refuses_is_named(server: ReleaseServer) -> None:
    with connect_proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n") as proxy:
        environ = {**server.environ, "ALL_PROXY": proxy.address}
        with pytest.raises(PeerError, match="through the proxy"):
            Client(environ, LIMITS).document(f"{server.url}/x", 4)


def test_a_proxy_of_another_kind_is_refused_without_its_password(server: ReleaseServer) -> None:
    environ = {**server.environ, "HTTPS_PROXY": "socks5://alice:secret@localhost:1"}

    with pytest.raises(RootlessError, match="cannot use the proxy") as raised:
        Client(environ, LIMITS).document(f"{server.url}/x", 4)

    assert "secret" not in f"{raised.value.message} {raised.value.hint}"


def test_the_default_limits_are_those_of_a_slow_line() -> None:
    assert 3 == len(Limits().pauses) + 1
