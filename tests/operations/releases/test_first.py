"""Tests of `up --get`: what is downloaded before the start."""

from __future__ import annotations

import pytest

from k3s_rootless.binaries import installed
from k3s_rootless.operations import k3s_search
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.releases import first
from tests.fakes.release_server import LIMITS, VERSION, ReleaseServer, binary

OTHER = "v1.35.7+k3s2"


@pytest.fixture(autouse=True)
def published(server: ReleaseServer) -> None:
    server.publish()
    server.publish(OTHER)


def used(context: Context) -> str | None:
    return installed.linked(context.paths.own, installed.LINK)


def test_without_a_name_the_stable_release_is_used(context: Context) -> None:
    first.bring(context, "", LIMITS)

    assert VERSION == used(context)


def test_without_a_name_and_with_a_k3s_nothing_is_downloaded(
    context: Context, server: ReleaseServer, events: list[Event]
) -> None:
    first.bring(context, OTHER, LIMITS)
    before = len(server.requests)
    first.bring(context, "", LIMITS)

    assert before == len(server.requests)
    assert OTHER == used(context)
    assert isinstance(events[-1], Notice)
    assert "nothing is downloaded" in events[-1].text


def test_a_named_release_replaces_the_one_in_use(context: Context) -> None:
    first.bring(context, OTHER, LIMITS)
    first.bring(context, "stable", LIMITS)

    assert VERSION == used(context)


def test_a_requested_release_replaces_another_k3s(context: Context) -> None:
    other = context.paths.home / "path/k3s"
    other.parent.mkdir()
    other.write_bytes(binary("v1.30.1+k3s1"))
    other.chmod(0o755)
    assert str(other) == k3s_search.found(context).path

    first.bring(context, OTHER, LIMITS)

    assert OTHER == used(context)
    assert str(context.paths.own / "bin/k3s") == k3s_search.found(context).path
