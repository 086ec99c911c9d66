"""Tests of the tokens of K3s in a lab."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.e2e.conftest import Tool
from tests.lab.fixtures import fresh
from tests.machine import HOME, Machine

pytestmark = pytest.mark.lab
_DATA = HOME / ".rancher/k3s"
_CONFIG = HOME / "k3s.yaml"
_DROP_IN = HOME / ".config/systemd/user/k3s-rootless.service.d/mine.conf"
_FIRST = "the-first-token-of-this-test"


@pytest.fixture(scope="module")
def used(lab: Machine) -> Iterator[Tool]:
    """Yield the tool in a lab in which K3s runs; its token is set in a configuration file."""
    fresh(lab)
    tool = Tool(lab)
    lab.user("tee", str(_CONFIG), stdin=f"token: {_FIRST}\n").check_returncode()
    lab.user("mkdir", "-p", str(_DROP_IN.parent)).check_returncode()
    drop_in = f"[Service]\nEnvironment=K3S_CONFIG_FILE={_CONFIG}\n"
    lab.user("tee", str(_DROP_IN), stdin=drop_in).check_returncode()
    tool.up().check_returncode()
    yield tool
    lab.user("rm", "-f", str(_CONFIG), str(_DROP_IN))


def read(tool: Tool, path: object) -> str:
    return tool.machine.user("cat", str(path)).stdout


def test_the_token_is_rotated_and_k3s_starts_with_it(used: Tool) -> None:
    done = used("token", "rotate", "--yes")

    assert 0 == done.returncode, done.stderr
    assert _FIRST not in done.stdout + done.stderr
    new = read(used, _CONFIG).removeprefix("token: ").strip()
    assert new != _FIRST
    assert new not in done.stdout + done.stderr
    assert f"::server:{new}" in read(used, _DATA / "server/token")
    assert 0 == used("status").returncode
    used("restart").check_returncode()
    shown = used.json("token", "show", "--reveal")
    assert [_FIRST] == [one["token"].rpartition(":")[2] for one in shown["earlier"]]
    journal = used.machine.user("journalctl", "--user", "--no-pager").stdout
    assert _FIRST not in journal
    assert new not in journal


def test_a_new_token_comes_from_standard_input(used: Tool) -> None:
    tool = ("k3s-rootless", "token", "rotate", "--yes", "--stdin")

    done = used.machine.user(*tool, stdin="the-second-token-of-this-test\n")

    assert 0 == done.returncode, done.stderr
    assert "token: the-second-token-of-this-test\n" == read(used, _CONFIG)
    assert 2 == used.machine.user(*tool, stdin="short\n").returncode
    assert "token: the-second-token-of-this-test\n" == read(used, _CONFIG)


def test_without_a_terminal_consent_is_needed(used: Tool) -> None:
    done = used("token", "rotate")

    assert 2 == done.returncode
    assert "add --yes" in done.stderr


def test_bootstrap_tokens(used: Tool) -> None:
    created = used.json("token", "create", "--ttl", "2h", "--description", "for a test")
    printed = used("token", "create", "--ttl", "0", "--reveal").stdout.strip()

    assert created["token"] is None
    assert re.fullmatch(r"K10[0-9a-f]{64}::[a-z0-9]{6}\.[a-z0-9]{16}", printed)
    second = printed.rpartition("::")[2]
    rows = {row["id"]: row for row in used.json("token", "list")["tokens"]}
    assert {created["id"], second[:6]} == set(rows)
    assert "for a test" == rows[created["id"]]["description"]
    assert rows[second[:6]]["expires"] is None
    assert second not in used("token", "list").stdout
    assert second in used("token", "list", "--reveal").stdout

    assert 2 == used("token", "delete", second).returncode
    used("token", "delete", *rows).check_returncode()

    assert [] == used.json("token", "list")["tokens"]
    refused = used("token", "delete", created["id"])
    assert 1 == refused.returncode
    assert f"cannot delete {created['id']}: failed to delete bootstrap token" in refused.stderr


def test_bad_options_of_k3s_keep_its_reason(used: Tool) -> None:
    done = used("token", "create", "--ttl", "soon", "--json")

    assert 1 == done.returncode
    message = json.loads(done.stdout)["errors"][0]["message"]
    assert message.startswith('cannot create a token: invalid value "soon"')
