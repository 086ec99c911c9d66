"""Tests of bootstrap tokens with a program that prints what k3s prints; its own errors are kept."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from k3s_rootless.cluster.bootstrap_tokens import BootstrapToken
from k3s_rootless.errors import CommandFailed, RootlessError, UsageError
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.token import bootstrap, document
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session


@pytest.fixture
def program(context: Context, bus: Session, home: Path) -> Path:
    """Return the k3s of a running unit; a test writes what it prints."""
    path = home / "bin" / "k3s"
    command = f"{path} server --data-dir={home}/data --write-kubeconfig={home}/k3s.yaml"
    (bus.units / UNIT).write_text(f"[Service]\nExecStart={command}\n")
    (home / "k3s.yaml").write_text("")
    with context.manager() as manager:
        manager.start(UNIT)
    return path


def printing(program: Path, text: str, *, status: int = 0, stream: str = "1") -> None:
    program.with_name("arguments").unlink(missing_ok=True)
    script = f"#!/bin/sh\nprintf '%s\\n' \"$@\" > {program.parent}/arguments\n"
    program.write_text(f"{script}printf '%s\\n' {shlex.quote(text)} >&{stream}\nexit {status}\n")
    program.chmod(0o755)
    os.chown(program, os.getuid(), os.getgid())


def test_a_list_has_no_secret_unless_it_is_revealed() -> None:
    found = (BootstrapToken("abc123", "abc123.0123456789abcdef", "mine", "2026-11-28T00:00:00Z"),)

    (row,) = document.of_list(found, reveal=False)["tokens"]
    assert ("abc123", "mine", None) == (row["id"], row["description"], row["token"])
    assert "0123456789abcdef" not in f"{row}{found}"
    (revealed,) = document.of_list(found, reveal=True)["tokens"]
    assert "abc123.0123456789abcdef" == revealed["token"]


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ('time="2026-11-27T20:00:00Z" level=fatal msg="Error: no \\"a\\""', 'no "a"'),
        ("Incorrect Usage: flag provided but not defined: -x", "Incorrect Usage"),
    ],
)
def test_the_reason_of_k3s_is_kept(
    context: Context, program: Path, printed: str, reason: str
) -> None:
    printing(program, printed, status=1, stream="2")

    with pytest.raises(CommandFailed, match=f"cannot create a token: {reason}"):
        bootstrap.create(context)


def test_a_token_is_created(context: Context, program: Path) -> None:
    printing(program, f"K10{'ab' * 32}::abc123.0123456789abcdef")

    created = bootstrap.create(context, ttl="2h", description="for a test")

    assert "abc123" == created.identifier
    assert document.of_created(created, reveal=False)["token"] is None
    assert created.text == document.of_created(created, reveal=True)["token"]
    words = program.with_name("arguments").read_text().splitlines()
    assert ["token", "create", "--ttl=2h", "--description=for a test"] == words


def test_an_answer_without_a_token_is_an_error(context: Context, program: Path) -> None:
    printing(program, "nothing")

    with pytest.raises(RootlessError, match="K3s printed no token"):
        bootstrap.create(context)


def test_tokens_are_deleted_by_identifier(context: Context, program: Path) -> None:
    printing(program, 'bootstrap token "abc123" deleted')

    bootstrap.delete(context, ["abc123", "def456"])

    words = program.with_name("arguments").read_text().splitlines()
    assert ["token", "delete", "abc123", "def456"] == words


@pytest.mark.parametrize("given", ["abc123.0123456789abcdef", "", "--all", "ABC123"])
def test_a_whole_token_is_never_in_a_command_line(
    context: Context, program: Path, given: str
) -> None:
    printing(program, "")

    with pytest.raises(UsageError, match="an identifier has 6 lower-case letters") as refused:
        bootstrap.delete(context, ["abc123", given])

    assert not given or given not in refused.value.message
    assert not program.with_name("arguments").exists()
