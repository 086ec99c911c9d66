"""Tests that tokens are printed only with `--reveal`, and of the results of their rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cli.display import token
from k3s_rootless.cli.display.report import Report
from k3s_rootless.cluster.bootstrap_tokens import BootstrapToken
from k3s_rootless.operations.launch.events import PhaseReached
from k3s_rootless.operations.launch.started import Started
from k3s_rootless.operations.readiness import phases
from k3s_rootless.operations.token import places
from k3s_rootless.operations.token.edits import Edit
from k3s_rootless.operations.token.plan import Plan
from k3s_rootless.operations.token.record import Earlier, Rotation
from k3s_rootless.operations.token.rotate import Rotated
from k3s_rootless.operations.token.show import Shown, Token
from k3s_rootless.user_file import UserFile
from tests.cli.display import documents, narrow

DATA = Path("/home/alice/.rancher/k3s")
CONFIG = Path("/home/alice/.config/k3s/config.yaml")
SECRET, OLD = "K10abc::server:s3cret", "K10abc::server:0ld"
HIDDEN = "(hidden; --reveal prints it)"
SERVER = Token("server", DATA / "server/token", SECRET, (f"{CONFIG}:3",))
AGENT = Token("agent", DATA / "server/agent-token", None, ())
REPLACED = datetime(2026, 11, 27, 23, 28, 2, tzinfo=UTC)
SHOWN = Shown((SERVER, AGENT), (Earlier("server", OLD, REPLACED),))
BOOTSTRAP = BootstrapToken(
    "ab12cd",
    "ab12cd.0123456789abcdef",
    "for my laptop",
    "2026-11-28T23:27:57Z",
    ("authentication", "signing"),
    ("system:bootstrappers:k3s:default-node-token",),
)
ENDLESS = BootstrapToken("ef34gh", "ef34gh.fedcba9876543210")
EDIT = Edit(UserFile(CONFIG, CONFIG, b"", 0o600), b"")
PLAN = Plan(
    flag=places.SERVER,
    data=DATA,
    port=6443,
    rotation=Rotation("0ld", "s3cret"),
    sends=True,
    resumed=False,
    edits=(EDIT,),
    others=(),
)
READY = Started((), 20.0, (PhaseReached(phases.NODE, 20.0, 1.0),))
BACKUPS = "earlier backups need the old token: k3s-rootless token show --reveal"
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("reveal", "now", "before"), [(False, HIDDEN, HIDDEN), (True, SECRET, OLD)]
)
def test_tokens_are_hidden_by_default(
    capsys: Captured, now: str, before: str, *, reveal: bool
) -> None:
    token.show(Report(), SHOWN, reveal=reveal)

    assert [
        "server token:",
        f"  file    {SERVER.path}",
        f"  token   {now}",
        f"  set in  {CONFIG}:3",
        "agent token:",
        "  agents use the token of the server",
        "server token replaced at 2026-11-27 23:28:02 UTC:",
        f"  token   {before}",
    ] == capsys.readouterr().out.splitlines()


def test_a_file_that_k3s_has_not_written_has_no_token(capsys: Captured) -> None:
    unwritten = replace(SERVER, text=None, set_in=())

    token.show(Report(), Shown((unwritten,), ()), reveal=True)

    assert f"server token:\n  K3s has not written {SERVER.path} yet\n" == capsys.readouterr().out


def test_bootstrap_tokens_are_a_table(capsys: Captured) -> None:
    token.show_list(Report(), (BOOTSTRAP, ENDLESS), reveal=False)

    head, _, *rows = capsys.readouterr().out.splitlines()
    assert ["ID", "EXPIRES", "USAGES", "DESCRIPTION", "GROUPS"] == head.split()
    assert [
        (
            "ab12cd   2026-11-28T23:27:57Z   authentication,signing   for my laptop"
            "   system:bootstrappers:k3s:default-node-token"
        ),
        "ef34gh   never",
    ] == rows


def test_a_narrow_terminal_shows_no_groups() -> None:
    lines = narrow.lines(lambda report: token.show_list(report, (BOOTSTRAP,), reveal=False))

    assert ["ID", "EXPIRES", "USAGES", "DESCRIPTION"] == lines[0].split()
    assert "(a wider terminal also shows GROUPS)" == lines[-1]


def test_reveal_adds_the_bootstrap_tokens(capsys: Captured) -> None:
    token.show_list(Report(), (BOOTSTRAP, ENDLESS), reveal=True)
    token.show_list(Report(), (), reveal=True)

    head, _, *rows, nothing = capsys.readouterr().out.splitlines()
    assert "TOKEN" == head.split()[-1]
    assert [BOOTSTRAP.text, ENDLESS.text] == [row.split()[-1] for row in rows]
    assert "no bootstrap tokens" == nothing


def test_a_new_token_is_printed_alone_or_by_its_identifier(capsys: Captured) -> None:
    token.show_created(Report(), BOOTSTRAP, reveal=True)
    token.show_created(Report(), BOOTSTRAP, reveal=False)
    token.show_deleted(Report(), ("ab12cd", "ef34gh"))

    assert [
        BOOTSTRAP.text,
        "created ab12cd; print it with: k3s-rootless token list --reveal",
        "deleted ab12cd",
        "deleted ef34gh",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (
            PLAN,
            [
                "1. request K3s to encrypt its datastore with a new token",
                f"2. set the new token in {CONFIG}",
                "3. restart K3s, which stops all pods",
            ],
        ),
        (
            replace(PLAN, sends=False, resumed=True, edits=()),
            [
                "1. finish the rotation that was interrupted",
                "2. restart K3s, which stops all pods",
            ],
        ),
    ],
)
def test_a_dry_run_lists_the_steps(capsys: Captured, plan: Plan, expected: list[str]) -> None:
    token.show_rotated(Report(), Rotated(plan, None))

    assert expected == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("rotated", "expected"),
    [
        (Rotated(PLAN, READY), ["the token is rotated; K3s is ready", BACKUPS]),
        (
            Rotated(PLAN, Started((), 0.2, None)),
            ["the token is rotated; K3s is starting", BACKUPS],
        ),
        (
            Rotated(replace(PLAN, flag=places.AGENT, sends=False), READY),
            ["the token is rotated; K3s is ready"],
        ),
    ],
    ids=["ready", "without a wait", "agent"],
)
def test_only_the_token_of_the_server_is_needed_for_earlier_backups(
    capsys: Captured, rotated: Rotated, expected: list[str]
) -> None:
    token.show_rotated(Report(), rotated)

    assert expected == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("name", "show", "result"),
    [
        ("token-show", partial(token.show, reveal=False), SHOWN),
        ("token-list", partial(token.show_list, reveal=False), (BOOTSTRAP,)),
        ("token-create", partial(token.show_created, reveal=False), BOOTSTRAP),
        ("token-delete", token.show_deleted, ("ab12cd",)),
        ("token-rotate", token.show_rotated, Rotated(PLAN, READY)),
    ],
)
def test_json_is_one_document_without_secrets(
    capsys: Captured, name: str, show: Callable[[Report, Any], None], result: object
) -> None:
    show(Report(json_for=name), result)

    out = capsys.readouterr().out
    documents.require_one(out, name)
    assert [] == [one for one in (SECRET, OLD, "s3cret", BOOTSTRAP.text) if one in out]
