"""Tests of `up` without a k3s, and of `up --get`: what is downloaded before the start."""

from __future__ import annotations

import pytest

from k3s_rootless.binaries import installed
from k3s_rootless.operations import k3s_search
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.releases import first
from tests.fakes.release_server import (
    CHANNELS,
    DOWNLOADS,
    LIMITS,
    VERSION,
    Fault,
    ReleaseServer,
    binary,
)

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


class Answers:
    """The user at the terminal."""

    def __init__(self, *, answer: bool | None) -> None:
        self.answer = answer
        self.questions: list[str] = []

    def __call__(self, question: str) -> bool | None:
        self.questions.append(question)
        return self.answer


def test_a_user_is_offered_the_stable_release_with_size_and_source(
    context: Context, server: ReleaseServer
) -> None:
    user = Answers(answer=True)

    first.offer(context, user, LIMITS)

    (question,) = user.questions
    assert f"Download K3s {VERSION} (292 KiB) from {server.url}{DOWNLOADS}, verify it" in question
    assert VERSION == used(context)


@pytest.mark.parametrize("user", [Answers(answer=False), Answers(answer=None)])
def test_without_consent_nothing_is_downloaded(
    context: Context, server: ReleaseServer, user: Answers
) -> None:
    first.offer(context, user, LIMITS)

    assert ["bytes=0-0"] == server.requested(server.stored(VERSION, "k3s"))
    assert () == installed.releases(context.paths.own)


def test_a_server_that_does_not_name_the_size(context: Context, server: ReleaseServer) -> None:
    server.fail_file("k3s", Fault(headers={"Content-Range": "bytes 0-0/*"}))
    user = Answers(answer=False)

    first.offer(context, user, LIMITS)

    assert f"Download K3s {VERSION} from https" in user.questions[0]


@pytest.mark.parametrize("path", [f"{CHANNELS}/stable", "/stored/v1.36.3%2Bk3s1/k3s"])
def test_without_an_answer_there_is_a_reason_and_no_question(
    context: Context, server: ReleaseServer, events: list[Event], path: str
) -> None:
    server.fail(path, Fault(404, permanent=True))
    user = Answers(answer=True)

    first.offer(context, user, LIMITS)

    assert [] == user.questions
    assert isinstance(events[-1], Notice)
    assert "cannot look up the stable release of K3s: " in events[-1].text
