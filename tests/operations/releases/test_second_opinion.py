"""Tests of the digest of the forge: K3s's own servers, behind a proxy that leads to a fake."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.releases import document, servers
from k3s_rootless.operations.releases.get import Got, Request, get
from tests.fakes.connect_proxy import connect_proxy
from tests.fakes.release_server import API, LIMITS, PAGE, VERSION, Fault, ReleaseServer

PATH = f"{API}/v1.36.3%2Bk3s1"
pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only")


@pytest.fixture
def direct(context: Context, server: ReleaseServer) -> Iterator[Context]:
    """Yield the context of a user who has no mirror."""
    server.publish()
    with connect_proxy(to=server.port) as proxy:
        kept = {name: context.environ[name] for name in ("PATH", "SSL_CERT_FILE")}
        yield replace(context, environ={**kept, "HTTPS_PROXY": proxy.address})


def opinion(got: Got) -> tuple[bool | None, str]:
    assert got.opinion
    return got.opinion.agrees, got.opinion.reason


def shown(server: ReleaseServer, *assets: object) -> None:
    """Let the forge show these assets."""
    server.fail(PATH, Fault(200, json.dumps({"assets": assets}).encode(), permanent=True))


def test_the_forge_agrees(direct: Context, events: list[Event]) -> None:
    got = get(direct, Request(), LIMITS)

    assert (True, "") == opinion(got)
    assert got.record.source.startswith(
        "https://github.com/k3s-io/k3s/releases/download/v1.36.3%2B"
    )
    found = document.of_got(got)["second_opinion"]
    assert {"sha256": got.record.sha256, "agrees": True, "reason": None} == found
    assert [] == [one for one in events if isinstance(one, Notice)]


def test_another_digest_is_a_warning_and_the_release_is_kept(
    direct: Context, server: ReleaseServer, events: list[Event]
) -> None:
    shown(server, {"name": "k3s", "digest": f"sha256:{'f' * 64}"})

    got = get(direct, Request(), LIMITS)

    assert (False, "") == opinion(got)
    assert got.path.exists()
    (notice,) = (one.text for one in events if isinstance(one, Notice))
    assert f"warning: api.github.com shows the SHA-256 {'f' * 64} for k3s" in notice
    assert got.record.sha256 in notice


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault(403, b"{}"), "refuses more requests for now"),
        (Fault(429, b"{}"), "refuses more requests for now"),
        (Fault(404, b"{}"), "HTTP status 404"),
        (Fault(500), "HTTP status 500"),
        (Fault(200, PAGE), "not valid JSON"),
        (Fault(200, b'{"assets": [5]}'), "must be an object"),
        (Fault(200, b'{"assets": [{"name": "k3s", "digest": null}]}'), "shows no SHA-256"),
        (Fault(200, b'{"assets": [{"name": "k3s", "digest": "md5:1"}]}'), "shows no SHA-256"),
        (Fault(200, b"{}"), "shows no SHA-256 for k3s"),
        (Fault(302, b"", {"Location": "http://localhost/x"}), "leaves https"),
    ],
)
def test_no_answer_changes_nothing(
    direct: Context, server: ReleaseServer, events: list[Event], fault: Fault, reason: str
) -> None:
    server.fail(PATH, replace(fault, permanent=True))

    got = get(direct, Request(), LIMITS)

    assert got.changed
    agrees, found = opinion(got)
    assert None is agrees
    assert reason in found
    assert [] == [one for one in events if isinstance(one, Notice)]


def test_a_forge_that_hangs_delays_nothing(direct: Context, server: ReleaseServer) -> None:
    done = threading.Event()
    server.fail(PATH, Fault(200, b"{}", before=lambda: done.wait(60)))

    got = get(direct, Request(), replace(LIMITS, opinion=0.0))
    done.set()

    assert (None, "no answer within the time limit") == opinion(got)


def test_a_mirror_is_not_compared(context: Context, server: ReleaseServer) -> None:
    server.publish()

    assert None is get(context, Request(), LIMITS).opinion
    assert "" == servers.source(context).api
    assert [] == server.requested("/v1.36.3%2Bk3s1")


def test_what_is_there_already_is_not_compared(direct: Context, server: ReleaseServer) -> None:
    get(direct, Request(VERSION), LIMITS)

    assert None is get(direct, Request(VERSION), LIMITS).opinion
    assert [""] == server.requested(PATH)
