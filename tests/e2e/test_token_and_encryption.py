"""Tests of the tokens of K3s, and of the encryption of its Secrets, in a lab."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

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


def encryption(tool: Tool, *args: str) -> Any:
    done = tool("encryption", *args, "--json")
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def test_secrets_are_encrypted_with_one_restart(used: Tool) -> None:
    assert not encryption(used, "status")["enabled"]
    assert 1 == used("encryption", "rotate-keys", "--yes").returncode
    assert 2 == used("encryption", "enable").returncode

    done = encryption(used, "enable", "--yes")

    assert (True, True, True) == (done["changed"], done["restarts"], done["enabled"])
    found = encryption(used, "status")
    assert ("reencrypt_finished", True, None) == (found["stage"], found["flag"], found["finish"])
    assert "AES-CBC" == found["active_key"]["type"]
    assert not encryption(used, "enable")["changed"]
    assert 0 == used("status").returncode


def test_keys_are_rotated_without_a_restart(used: Tool) -> None:
    before = encryption(used, "status")["active_key"]["name"]
    started = used.json("status")["unit"]["started"]

    done = used("encryption", "rotate-keys")

    assert 0 == done.returncode, done.stderr
    assert "K3s has encrypted 120 Secrets again" in done.stderr
    found = encryption(used, "status")
    assert before != found["active_key"]["name"]
    assert [] == found["inactive_keys"]
    assert started == used.json("status")["unit"]["started"]
    journal = used.machine.user("journalctl", "--user", "--no-pager").stdout
    configuration = json.loads(read(used, _DATA / "server/cred/encryption-config.json"))
    key = configuration["resources"][0]["providers"][0]["aescbc"]["keys"][0]["secret"]
    assert key not in journal + done.stdout + done.stderr


def test_an_old_release_needs_two_restarts(used: Tool) -> None:
    used.order(version="v1.29.2+k3s1")
    used.up("--restart", "--timeout", "60s").check_returncode()
    before = encryption(used, "status")["active_key"]["name"]
    # Begun with K3s's own command, and continued by the tool.
    used("k3s", "secrets-encrypt", "prepare").check_returncode()
    assert "k3s-rootless encryption rotate-keys" == encryption(used, "status")["finish"]

    done = encryption(used, "rotate-keys", "--yes")

    assert (True, True) == (done["resumed"], done["restarts"])
    found = encryption(used, "status")
    assert before != found["active_key"]["name"]
    assert ([], "reencrypt_finished") == (found["inactive_keys"], found["stage"])


def test_the_encryption_is_disabled(used: Tool) -> None:
    done = encryption(used, "disable", "--yes")

    assert (True, False) == (done["changed"], done["enabled"])
    found = encryption(used, "status")
    assert (False, True) == (found["enabled"], found["configured"])
