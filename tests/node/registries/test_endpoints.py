"""Tests of the endpoints that containerd requests, and of the proxies on the way to them."""

from __future__ import annotations

import pytest

from k3s_rootless.node.registries import challenge, endpoints, loopback, proxies
from k3s_rootless.node.registries.facts import (
    Config,
    Credentials,
    Endpoint,
    Mirror,
    Proxies,
    Registries,
)


@pytest.mark.parametrize(
    ("text", "url", "name"),
    [
        ("docker.io", "https://registry-1.docker.io/v2/", "docker.io"),
        ("https://registry-1.docker.io", "https://registry-1.docker.io/v2/", "docker.io"),
        ("r.example:5000", "https://r.example:5000/v2/", "r.example:5000"),
        ("https://r.example/", "https://r.example/v2/", "r.example"),
        ("https://r.example/v2", "https://r.example/v2/", "r.example"),
        ("http://r.example/proxy/v2/hub", "http://r.example/proxy/v2/hub/", "r.example"),
        ("localhost:5000", "http://localhost:5000/v2/", "localhost:5000"),
        ("127.0.0.1:443", "https://127.0.0.1:443/v2/", "127.0.0.1:443"),
        ("localhost", "https://localhost/v2/", "localhost"),
        ("https://[::1]:5000", "https://[::1]:5000/v2/", "[::1]:5000"),
    ],
)
def test_an_endpoint_is_read_as_k3s_reads_it(text: str, url: str, name: str) -> None:
    found = endpoints.of_registry(Registries(mirrors={"a": Mirror((text,))}), "a")[0]

    assert (url, name) == (found.url, found.name)


def test_the_registry_itself_follows_its_mirrors() -> None:
    found = Registries(
        mirrors={"docker.io": Mirror(("https://m.example", "bad scheme://", "https://m.example"))},
        configs={
            "m.example": Config(Credentials("m", "1")),
            "registry-1.docker.io": Config(Credentials("hub", "2")),
        },
    )

    listed = endpoints.of_registry(found, "docker.io")

    assert ["https://m.example/v2/", "https://registry-1.docker.io/v2/"] == [
        one.url for one in listed
    ]
    assert ["m", "hub"] == [one.config.credentials.username for one in listed]
    assert [False, True] == [one.default for one in listed]
    without = endpoints.of_registry(found, "docker.io", without_default=True)
    assert ["https://m.example/v2/"] == [one.url for one in without]


def test_the_mirror_of_all_registries_has_no_registry_itself() -> None:
    found = Registries(mirrors={"*": Mirror(("https://m.example",))})

    assert ["https://m.example/v2/"] == [one.url for one in endpoints.of_registry(found, "*")]


def test_a_registry_with_settings_alone_is_requested() -> None:
    found = Registries(configs={"r.example:5000": Config(Credentials("a", "b"))})

    assert "https://r.example:5000/v2/" == endpoints.of_registry(found, "r.example:5000")[0].url


@pytest.mark.parametrize(
    ("environ", "scheme", "host", "port", "proxy"),
    [
        ({}, "https", "a.example", 443, ""),
        ({"HTTPS_PROXY": "http://p:1"}, "https", "a.example", 443, "http://p:1"),
        ({"https_proxy": "p:1"}, "https", "a.example", 443, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, "http", "a.example", 80, ""),
        ({"HTTPS_PROXY": "a:1", "CONTAINERD_HTTPS_PROXY": "b:1"}, "https", "x", 443, "http://b:1"),
        ({"HTTPS_PROXY": "a:1", "CONTAINERD_HTTPS_PROXY": ""}, "https", "x", 443, ""),
        ({"HTTPS_PROXY": "p:1"}, "https", "localhost", 443, ""),
        ({"HTTPS_PROXY": "p:1"}, "https", "127.0.0.9", 443, ""),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "*"}, "https", "x", 443, ""),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "example"}, "https", "a.example", 443, ""),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": ".example"}, "https", "a.example", 443, ""),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": ".example"}, "https", "example", 443, "http://p:1"),
        (
            {"HTTPS_PROXY": "p:1", "NO_PROXY": "a.example:80"},
            "https",
            "a.example",
            443,
            "http://p:1",
        ),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "x, 10.0.0.0/8"}, "https", "10.1.2.3", 443, ""),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "10.1.2.3:5000"}, "https", "10.1.2.3", 5000, ""),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "10.1.2.4"}, "https", "10.1.2.3", 443, "http://p:1"),
    ],
)
def test_the_proxy_is_that_of_containerd(
    environ: dict[str, str], scheme: str, host: str, port: int, proxy: str
) -> None:
    assert proxy == proxies.chosen(proxies.of_environment(environ), scheme, host, port)


def test_the_networks_of_the_cluster_need_no_proxy() -> None:
    given = {"HTTPS_PROXY": "p:1", "no_proxy": "a.example"}
    added = (".cluster.local", "10.43.0.0/16")

    found = proxies.of_environment(given, added)

    for host in ("a.example", "r.ns.svc", "r.ns.svc.cluster.local", "10.43.0.9"):
        assert "" == proxies.chosen(found, "https", host, 443)
    own = proxies.of_environment({**given, "CONTAINERD_NO_PROXY": "b.example"}, added)
    assert "http://p:1" == proxies.chosen(own, "https", "10.43.0.9", 443)
    assert "" == proxies.chosen(own, "https", "b.example", 443)


def test_proxies_do_not_show_passwords() -> None:
    assert "secret" not in repr(Proxies("http://u:secret@p", "http://u:secret@p"))


@pytest.mark.parametrize(
    ("values", "schemes"),
    [
        (['Basic realm="a, b"'], ["basic"]),
        (['Basic realm="a"', 'Bearer realm="https://t/x",service="s"'], ["bearer", "basic"]),
        (['Basic realm="a", Bearer realm="https://t/x"'], ["bearer", "basic"]),
        (["BASIC"], ["basic"]),
        (["Negotiate", "Digest realm=x"], []),
        ([""], []),
    ],
)
def test_challenges_are_read(values: list[str], schemes: list[str]) -> None:
    assert schemes == [one.scheme for one in challenge.read(values)]


def test_a_token_is_requested_for_the_service_of_the_challenge() -> None:
    given = 'Bearer realm="https://t.example/token?a=1",service="the \\"hub\\"",scope="x"'

    address = challenge.token_address(challenge.read([given])[0])

    assert "https://t.example/token?a=1&service=the+%22hub%22" == address


@pytest.mark.parametrize("realm", ["", "file:///etc/passwd", "t.example", "https://"])
def test_a_challenge_without_an_address_is_refused(realm: str) -> None:
    with pytest.raises(ValueError, match="no address for tokens"):
        challenge.token_address(challenge.read([f'Bearer realm="{realm}"'])[0])


def test_the_ways_to_a_registry_on_the_loopback_of_the_host() -> None:
    endpoint = Endpoint("r.local", "http", "127.0.0.1", 5000, "/v2", "127.0.0.1:5000")

    closed = loopback.advice(endpoint, {"K3S_ROOTLESS_CIDR": "10.9.0.0/24"}, heard=True)
    opened = loopback.advice(endpoint, {"K3S_ROOTLESS_DISABLE_HOST_LOOPBACK": "false"}, heard=False)

    assert "on this host, a program listens on port 5000" in closed[0]
    assert any("K3S_ROOTLESS_DISABLE_HOST_LOOPBACK=false" in one for one in closed)
    assert any("set the endpoint to http://10.9.0.2:5000" in one for one in closed)
    assert not any("env set" in one for one in opened)
    assert any("--endpoint http://10.41.0.2:5000" in one for one in opened)
