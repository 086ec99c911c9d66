"""Tests of the channel server's reader, against a TLS server with its layout."""

from __future__ import annotations

import pytest

from k3s_rootless.binaries import channels
from k3s_rootless.binaries.facts import Channel
from k3s_rootless.binaries.https import Client, Transient
from k3s_rootless.errors import PeerError
from tests.fakes.release_server import CHANNELS, PAGE, VERSION, Fault, ReleaseServer


@pytest.fixture
def base(server: ReleaseServer) -> str:
    server.channels = {"stable": VERSION, "latest": "v1.37.0+k3s2", "v1.36": VERSION, "old": None}
    return f"{server.url}{CHANNELS}"


@pytest.mark.parametrize(
    ("name", "tag"), [("stable", VERSION), ("latest", "v1.37.0+k3s2"), ("v1.36", VERSION)]
)
def test_a_channel_has_a_release(client: Client, base: str, name: str, tag: str) -> None:
    assert tag == channels.latest(client, base, name)


def test_the_page_of_the_release_is_not_requested(
    client: Client, base: str, server: ReleaseServer
) -> None:
    channels.latest(client, base, "stable")

    assert [f"{CHANNELS}/stable"] == [path for path, _ in server.requests]


def test_an_unknown_channel(client: Client, base: str) -> None:
    with pytest.raises(channels.UnknownChannel, match="localhost has no channel `stabel`"):
        channels.latest(client, base, "stabel")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(200, PAGE, {"Content-Type": "text/html"}), "sent a web page"),
        (Fault(200, b"ok"), "unexpected answer"),
        (Fault(302, b"", {"Location": "https://portal.example/login"}), "not a release of K3s"),
        (Fault(302, b"", {"Location": "/v1-release/x/\x1b[2J"}), "not a release of K3s"),
        (Fault(302, b""), "unexpected answer"),
        (Fault(403, PAGE), "HTTP status 403"),
        (Fault(200, b"x" * 2_000_000), "longer than"),
    ],
)
def test_other_answers_are_refused(
    client: Client, base: str, server: ReleaseServer, fault: Fault, reason: str
) -> None:
    server.fail(f"{CHANNELS}/stable", fault)

    with pytest.raises(PeerError, match=reason) as raised:
        channels.latest(client, base, "stable")

    assert not isinstance(raised.value, Transient)
    assert raised.value.message.isprintable()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_worth_another_try(
    client: Client, base: str, server: ReleaseServer, status: int
) -> None:
    server.fail(f"{CHANNELS}/stable", Fault(status))

    with pytest.raises(Transient):
        channels.latest(client, base, "stable")


def test_all_channels(client: Client, base: str) -> None:
    found = channels.listed(client, base)

    assert base == found.server
    assert (
        Channel("stable", VERSION),
        Channel("latest", "v1.37.0+k3s2"),
        Channel("v1.36", VERSION),
        Channel("old", None),
    ) == found.channels


@pytest.mark.parametrize(
    "body",
    [b"", b"{", PAGE, b"[]", b'{"data": {}}', b'{"data": [1]}', b'{"data": [{"name": "x"}]}'],
)
def test_a_list_that_is_none(client: Client, base: str, server: ReleaseServer, body: bytes) -> None:
    server.fail(CHANNELS, Fault(200, body))

    with pytest.raises(PeerError):
        channels.listed(client, base)


def test_junk_in_the_list_is_left_out(client: Client, base: str, server: ReleaseServer) -> None:
    server.channels = {"../x": VERSION, "stable": "v1/../../x", "v1.35": "v1.35.1+k3s1"}

    assert (Channel("v1.35", "v1.35.1+k3s1"),) == channels.listed(client, base).channels
