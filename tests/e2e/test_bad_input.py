"""Tests that each error of a user gives one clear message, a hint and its exit code.

The tool must end within seconds.
"""

from __future__ import annotations

import time

import pytest

from tests.e2e.conftest import K3S, Tool
from tests.machine import HOME, RUNTIME_DIR, TOOL, Machine
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
OWN_K3S = str(HOME / "bin/k3s")
SCRIPTS = {
    "garbage": ("#!/bin/sh\nhead -c 100000 /dev/urandom\n", "printed no version of K3s"),
    "silence": ("#!/bin/sh\n", "printed no version of K3s"),
    "failure": ("#!/bin/sh\nexit 9\n", "exit status 9"),
    "hang": ("#!/bin/sh\nsleep 600\n", "did not finish within"),
    "another program": ("#!/bin/sh\necho kubectl version v1.30.0\n", "printed no version of K3s"),
    "too old": (
        "#!/bin/sh\necho 'k3s version v1.19.4+k3s1 (2532c10f)'\n",
        "exists since v1.21",
    ),
    "known to be broken": (
        "#!/bin/sh\necho 'k3s version v1.34.4+k3s1 (2532c10f)'\n",
        "this release cannot start rootless",
    ),
}


@pytest.fixture
def own_k3s(lab: Machine) -> str:
    """Return a PATH of the user with another k3s first."""
    lab.user("rm", "-rf", str(HOME / "bin")).check_returncode()
    lab.user("mkdir", "-p", str(HOME / "bin")).check_returncode()
    return f"{HOME}/bin:/usr/bin:/bin"


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_file_that_is_not_k3s(lab: Machine, lab_tool: Tool, own_k3s: str, kind: str) -> None:
    script, words = SCRIPTS[kind]
    lab.user("tee", OWN_K3S, stdin=script).check_returncode()
    lab.user("chmod", "755", OWN_K3S).check_returncode()

    begun = time.monotonic()
    refused = lab_tool("up", *lab_tool.ignore, env={"PATH": own_k3s})

    assert 5 == refused.returncode, refused.stderr
    assert words in refused.stderr
    assert "hint:" in refused.stderr
    assert time.monotonic() - begun < PATIENCE
    assert lab_tool.unit_text() is None


def test_a_k3s_that_cannot_be_executed(lab: Machine, lab_tool: Tool) -> None:
    lab.root("mv", K3S, f"{K3S}.away").check_returncode()
    lab.user("mkdir", "-p", str(HOME / "bin")).check_returncode()
    lab.user("tee", OWN_K3S, stdin="#!/bin/sh\n").check_returncode()
    lab.user("chmod", "644", OWN_K3S).check_returncode()
    try:
        refused = lab_tool.up()
        lab.user("rm", OWN_K3S).check_returncode()
        missing = lab_tool.up()
    finally:
        lab.root("mv", f"{K3S}.away", K3S).check_returncode()

    assert 5 == refused.returncode
    assert f"{OWN_K3S} cannot be executed" in refused.stderr
    assert 5 == missing.returncode
    assert "k3s is not in PATH" in missing.stderr


def test_root_is_refused(lab: Machine) -> None:
    refused = lab.root(TOOL, "up")

    assert 5 == refused.returncode
    assert "it runs as an ordinary user" in refused.stderr
    assert "hint:" in refused.stderr


def test_the_runtime_directory_of_another_user(lab: Machine, lab_tool: Tool) -> None:
    lab.root("mkdir", "-p", "/run/user/0").check_returncode()

    refused = lab_tool("up", env={"XDG_RUNTIME_DIR": "/run/user/0"})

    assert 5 == refused.returncode
    assert "belongs to uid 0, not to uid " in refused.stderr
    assert f"export XDG_RUNTIME_DIR={RUNTIME_DIR}" in refused.stderr


def test_without_a_session_in_the_environment_the_uid_leads_to_the_manager(
    lab: Machine, lab_tool: Tool
) -> None:
    """As under cron, su and ssh with a command: lingering is on, so the manager runs."""
    bare = lab.user("env", "-i", TOOL, "up", *lab_tool.ignore)

    assert 0 == bare.returncode, bare.stderr


def test_a_missing_session_is_reported(lab: Machine) -> None:
    """Another user without a login and without lingering."""
    lab.root("useradd", "--no-create-home", "--uid", "1600", "bob")
    lab.root("rm", "-rf", "/run/user/1600")
    refused = lab.root(
        "setpriv", "--reuid", "1600", "--regid", "1600", "--clear-groups", "env", "-i", TOOL, "up"
    )

    assert 5 == refused.returncode
    assert "/run/user/1600 does not exist" in refused.stderr
    assert "hint:" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_failed_start_is_reported_with_its_cause(lab_tool: Tool) -> None:
    message = "failed to find memory cgroup (v2)"
    lab_tool.order(die={"after": 0.5, "message": message, "level": "fatal"})

    begun = time.monotonic()
    failed = lab_tool.up()

    assert 1 == failed.returncode
    assert message in failed.stderr
    assert "cgroup.delegation.memory" in failed.stderr
    assert time.monotonic() - begun < PATIENCE
    assert 1 == lab_tool("status").returncode


def test_a_start_that_takes_too_long_fails(lab_tool: Tool) -> None:
    lab_tool.order(delay=60)

    late = lab_tool.up("--timeout", "2s")

    assert 4 == late.returncode
    assert "K3s is not ready after 2 s" in late.stderr
    assert 4 == lab_tool("status").returncode


def test_a_misspelt_check_is_refused_with_a_suggestion(lab_tool: Tool) -> None:
    refused = lab_tool("up", "--ignore", "cgroup.delegaton")

    assert 2 == refused.returncode
    assert "did you mean `cgroup.delegation`?" in refused.stderr


def test_an_address_in_use_shows_in_ports(lab: Machine, lab_tool: Tool) -> None:
    with lab.popen("python3", "-m", "http.server", "10080") as holder:
        try:
            lab_tool.up().check_returncode()
            rows = {row["parent_port"]: row for row in lab_tool.json("ports")["ports"]}
        finally:
            holder.kill()

    assert "fail" == rows[10080]["verdict"]
    assert rows[10080]["reason"].startswith("port 10080 is in use by python3 (PID ")


@pytest.mark.parametrize(
    "version", ["v1.21.14+k3s1", "v1.24.17+k3s1", "v1.28.5+k3s1", "v1.30.4+k3s1", "v1.36.0+k3s1"]
)
def test_every_release_line_starts(lab_tool: Tool, version: str) -> None:
    lab_tool.order(version=version)

    done = lab_tool.up()

    assert 0 == done.returncode, done.stderr
    assert version == lab_tool.json("status")["release"]
    assert {6443, 10080, 10443} <= {
        row["parent_port"] for row in lab_tool.json("ports")["ports"] if row["verdict"] == "pass"
    }
