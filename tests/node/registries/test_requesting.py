"""Tests of requests to real registries with TLS, passwords and tokens, and to other servers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.node.registries import endpoints, requesting
from k3s_rootless.node.registries.facts import (
    Config,
    Credentials,
    Endpoint,
    Proxies,
    Registries,
    Reply,
    State,
    Tls,
)
from tests.fakes.connect_proxy import ConnectProxy
from tests.fakes.registry import (
    PASSWORD,
    USER,
    Authority,
    registry,
    token_server,
    web_server,
)
from tests.patience import PATIENCE

NO_CREDENTIALS, NO_TLS, NO_PROXIES = Credentials(), Tls(), Proxies()
GOOD = Credentials(USER, PASSWORD)
WRONG = Credentials(USER, "secret-that-is-wrong")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.create(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def private(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Yield the port of a registry with TLS and passwords."""
    with registry(tmp_path_factory.mktemp("private"), authority, passwords=True) as port:
        yield port


def endpoint(url: str, credentials: Credentials = NO_CREDENTIALS, tls: Tls = NO_TLS) -> Endpoint:
    found = Registries(configs={url.partition("://")[2]: Config(credentials, tls)})
    address = endpoints.parsed(url)
    return Endpoint(
        "r.example",
        address.scheme,
        address.host,
        address.port,
        address.path,
        address.name,
        config=found.configs[url.partition("://")[2]],
    )


def ask(
    url: str,
    credentials: Credentials = NO_CREDENTIALS,
    tls: Tls = NO_TLS,
    proxies: Proxies = NO_PROXIES,
    seconds: float = PATIENCE,
) -> Reply:
    return requesting.request(endpoint(url, credentials, tls), proxies, seconds)


def test_a_registry_with_passwords_answers_the_right_one(
    private: int, authority: Authority
) -> None:
    url, tls = f"https://127.0.0.1:{private}", Tls(str(authority.path))

    assert State.READY is ask(url, GOOD, tls).state
    assert "basic" == ask(url, GOOD, tls).authentication
    assert State.NEEDS_CREDENTIALS is ask(url, tls=tls).state
    refused = ask(url, WRONG, tls)
    assert Reply(State.DENIED, "the user alice is refused with status 401", "basic") == refused


def test_a_certificate_of_an_unknown_authority_is_named(private: int) -> None:
    url = f"https://127.0.0.1:{private}"

    found = ask(url, GOOD)

    assert State.TLS is found.state
    assert found.detail.startswith("the certificate is not trusted: ")
    assert State.READY is ask(url, GOOD, Tls(skip_verify=True)).state


def test_a_certificate_for_another_name_is_refused(private: int, authority: Authority) -> None:
    found = ask(f"https://127.0.0.2:{private}", GOOD, Tls(str(authority.path)))

    assert State.UNREACHABLE is found.state or "not valid for '127.0.0.2'" in found.detail


def test_http_and_https_mixed_up_are_named(
    private: int, authority: Authority, tmp_path: Path
) -> None:
    with registry(tmp_path) as plain:
        assert State.READY is ask(f"http://127.0.0.1:{plain}").state
        found = ask(f"https://127.0.0.1:{plain}")
    assert "the server does not speak TLS, and the endpoint starts with https" == found.detail
    found = ask(f"http://127.0.0.1:{private}")
    assert "the server expects TLS, and the endpoint starts with http" == found.detail


@pytest.mark.parametrize(
    ("credentials", "tokens_for", "state"),
    [
        (GOOD, "users", State.READY),
        (WRONG, "users", State.DENIED),
        (NO_CREDENTIALS, "users", State.NEEDS_CREDENTIALS),
        (NO_CREDENTIALS, "all", State.READY),
        (Credentials(identity="t"), "users", State.UNKNOWN),
    ],
    ids=["good", "wrong", "none", "anonymous", "identity token"],
)
def test_a_registry_with_tokens(
    authority: Authority,
    tmp_path: Path,
    credentials: Credentials,
    tokens_for: str,
    state: State,
) -> None:
    with (
        token_server(authority, anonymous=tokens_for == "all") as tokens,
        registry(tmp_path, authority, tokens=tokens) as port,
    ):
        found = ask(f"https://127.0.0.1:{port}", credentials, Tls(str(authority.path)))

    assert (state, "bearer") == (found.state, found.authentication), found


def test_a_password_is_not_sent_without_tls_if_the_registry_has_tls(authority: Authority) -> None:
    plain = {"WWW-Authenticate": 'Bearer realm="http://127.0.0.1:1/token"'}
    with web_server(401, plain, authority=authority) as port:
        found = ask(f"https://127.0.0.1:{port}", GOOD, Tls(str(authority.path)))

    assert "it asks for the password without TLS; the password is not sent" == found.detail


@pytest.mark.parametrize(
    ("status", "headers", "body", "state", "detail"),
    [
        (200, {"Content-Type": "text/html; charset=utf-8"}, b"<p>", State.OTHER, "a web page"),
        (200, {"Content-Type": "application/json"}, b"{}", State.READY, "the registry answers"),
        (404, {}, b"", State.OTHER, "no registry API"),
        (403, {}, b"", State.DENIED, "status 403"),
        (302, {"Location": "https://a.example/x"}, b"", State.OTHER, "a redirect to a.example"),
        (401, {}, b"", State.OTHER, "without a challenge"),
        (401, {"WWW-Authenticate": "Negotiate"}, b"", State.OTHER, "without a challenge"),
        (401, {"WWW-Authenticate": "Bearer x=1"}, b"", State.OTHER, "no address for tokens"),
        (500, {}, b"", State.OTHER, "status 500"),
    ],
)
def test_servers_that_are_no_registry(
    status: int, headers: dict[str, str], body: bytes, state: State, detail: str
) -> None:
    with web_server(status, headers, body) as port:
        found = ask(f"http://127.0.0.1:{port}")

    assert state is found.state
    assert detail in found.detail


def test_a_server_that_issues_no_token() -> None:
    with (
        web_server(200, {}, b'{"token": "a\\u0000b"}') as tokens,
        web_server(401, {"WWW-Authenticate": f'Bearer realm="http://127.0.0.1:{tokens}/"'}) as port,
    ):
        found = ask(f"http://127.0.0.1:{port}")

    assert Reply(State.OTHER, "127.0.0.1 issues no token (status 200)", "bearer") == found


def test_a_port_on_which_no_program_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert Reply(State.UNREACHABLE, "connection refused") == ask(f"https://127.0.0.1:{port}")


def test_a_server_that_never_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        found = ask(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.05)

    assert Reply(State.UNREACHABLE, "no answer within the time limit") == found


def test_a_name_that_does_not_exist() -> None:
    found = ask("https://registry.invalid")

    assert State.UNREACHABLE is found.state
    assert found.detail.startswith("its name cannot be resolved")


@pytest.mark.parametrize("content", [None, "no PEM"])
def test_an_authority_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)

    found = ask("https://127.0.0.1:1", tls=Tls(str(path)))

    assert State.TLS is found.state
    assert str(path) in found.detail


def test_a_proxy_is_used_as_containerd_does(private: int, authority: Authority) -> None:
    proxy = ConnectProxy(to=private)
    trusted = Tls(str(authority.path), skip_verify=True)
    try:
        found = ask("https://r.example", GOOD, trusted, Proxies(https=proxy.address))
        assert State.READY is found.state
        assert proxy.heads[0].startswith("CONNECT r.example:443 ")
        direct = Proxies(https=proxy.address, exceptions="r.invalid")
        assert State.UNREACHABLE is ask("https://r.invalid", GOOD, trusted, direct).state
    finally:
        proxy.close()


def test_a_proxy_that_refuses_is_named() -> None:
    proxy = ConnectProxy(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
    try:
        found = ask("https://r.example", proxies=Proxies(https=f"http://u:p@{proxy.address}"))
    finally:
        proxy.close()

    assert State.UNREACHABLE is found.state
    assert "407" in found.detail
    assert found.detail.endswith("(through the proxy 127.0.0.1)")
    assert "Proxy-Authorization: Basic dTpw" in proxy.heads[0]


def test_a_proxy_of_another_kind_is_not_tested() -> None:
    found = ask("https://r.example", proxies=Proxies(https="socks5://127.0.0.1:1"))

    assert "a proxy with the scheme socks5 cannot be tested" in found.detail
