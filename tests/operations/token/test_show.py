"""Tests that tokens are shown with their places, and without secrets unless they are requested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.token import document, record, show
from tests.fakes.session import Session
from tests.operations.supervisor import supervised

WRITTEN = "a-secret-token-of-the-server"


def test_the_tokens_and_their_places(context: Context, bus: Session, home: Path) -> None:
    with supervised(bus, home, f"--token={WRITTEN}", "--agent-token=for-agents-only") as k3s:
        k3s.config.write_text(f"debug: true\ntoken: {WRITTEN}\nagent-token-file: /nowhere\n")
        record.keep(context.paths.earlier_tokens, "server", "an-earlier-token")

        shown = show.show(context)

    found = document.of_shown(shown, reveal=False)
    server, agent = found["tokens"]
    assert ("server", True, [f"{k3s.config}:2"]) == (
        server["kind"],
        server["exists"],
        server["set_in"],
    )
    assert agent["exists"]
    assert "`/nowhere` does not exist" in agent["set_in"][0]
    for secret in (WRITTEN, "for-agents-only", "an-earlier-token"):
        assert secret not in json.dumps(found) + repr(shown)
        assert secret in json.dumps(document.of_shown(shown, reveal=True))


def test_agents_use_the_token_of_the_server(context: Context, bus: Session, home: Path) -> None:
    with supervised(bus, home, f"--token={WRITTEN}"):
        shown = show.show(context)

    assert [True, False] == [one.text is not None for one in shown.tokens]


def test_k3s_is_not_installed(context: Context) -> None:
    with pytest.raises(NotRunning):
        show.show(context)


def test_a_token_is_kept_once(tmp_path: Path) -> None:
    for token in ("first", "first", "second"):
        record.keep(tmp_path / "own/tokens.json", "server", token)

    assert ["first", "second"] == [
        one.token for one in record.earlier(tmp_path / "own/tokens.json")
    ]


def test_a_purge_forgets_the_tokens_and_a_bundle_knows_them(context: Context) -> None:
    full = f"K10{'ab' * 32}::server:the-first-token"
    record.keep(context.paths.earlier_tokens, "server", full)
    record.begin(context.paths.token_rotation, record.Rotation("the-old-token", "the-new-token"))

    assert {full, "the-first-token", "the-old-token", "the-new-token"} == record.secrets(
        context.paths
    )

    record.forget(context.paths)

    assert set() == record.secrets(context.paths)
    context.paths.earlier_tokens.write_text("{")
    assert set() == record.secrets(context.paths)
