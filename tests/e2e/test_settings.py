"""Tests of settings from K3s's configuration files and environment, with the whole tool."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME, Completed

pytestmark = pytest.mark.lab
CONFIG = Path("/etc/rancher/k3s/config.yaml")
DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "override.conf"
DATA = HOME / "elsewhere"
ENVIRONMENT = HOME / "k3s.env"
_CLOCK_GRAIN = 1.2
"""Seconds after which a file counts as changed after the start."""


@pytest.fixture
def tool(lab_tool: Tool) -> Iterator[Tool]:
    """Yield the tool in the lab; its configuration files of K3s exist only during the test."""
    yield lab_tool
    lab_tool("down")
    lab_tool.machine.root(
        "rm", "-rf", str(CONFIG), f"{CONFIG}.d", str(DATA), str(ENVIRONMENT)
    ).check_returncode()


def configure(tool: Tool, text: str, path: Path = CONFIG) -> None:
    tool.machine.root("mkdir", "-p", str(path.parent)).check_returncode()
    tool.machine.root("tee", str(path), stdin=text).check_returncode()


def drop_in(tool: Tool, line: str) -> None:
    tool.machine.user("mkdir", "-p", str(DROP_IN.parent)).check_returncode()
    tool.machine.user("tee", str(DROP_IN), stdin=f"[Service]\n{line}\n").check_returncode()


def exists(tool: Tool, path: Path) -> bool:
    return tool.machine.user("test", "-e", str(path)).returncode == 0


def api_row(tool: Tool) -> tuple[int, str]:
    (row,) = (one for one in tool.json("ports")["ports"] if one["kind"] == "api")
    return row["parent_port"], row["status"]


def setting(tool: Tool, name: str) -> dict[str, object]:
    (found,) = (one for one in tool.json("config", "list")["settings"] if one["name"] == name)
    return dict(found)


def test_the_port_of_a_configuration_file_is_the_port_everywhere(tool: Tool) -> None:
    configure(tool, "# ours\nhttps-listen-port: 7443\n")
    configure(tool, "disable+: [metrics-server]\n", Path(f"{CONFIG}.d/10.yaml"))

    up = tool.up("--timeout", "60")

    assert 0 == up.returncode, up.stderr
    assert "port 7443 forwarded" in up.stderr
    assert tool.json("status")["ready"]
    assert (7443, "listening") == api_row(tool)
    found = setting(tool, "https-listen-port")
    assert (["7443"], "configuration file") == (found["values"], found["origin"])
    source = {
        "value": "7443",
        "origin": "configuration file",
        "path": str(CONFIG),
        "line": 2,
        "variable": None,
    }
    assert [source] == found["sources"]
    assert ["metrics-server"] == setting(tool, "disable")["values"]
    shown = tool("config", "list").stdout
    assert f"{CONFIG}:2" in shown
    assert f"K3s also reads {CONFIG}.d/10.yaml" in shown
    assert 0 == tool("restart", "--timeout", "60").returncode


def test_a_running_k3s_keeps_the_port_that_it_was_started_with(tool: Tool) -> None:
    configure(tool, "https-listen-port: 7443\n")
    tool.up("--timeout", "60").check_returncode()
    time.sleep(_CLOCK_GRAIN)

    configure(tool, "https-listen-port: 8443\n")

    status = tool.json("status")
    assert (True, f"`{CONFIG}` changed after K3s was started") == (
        status["ready"],
        status["restart_needed"],
    )
    assert (7443, "listening") == api_row(tool)
    assert ["8443"] == setting(tool, "https-listen-port")["values"]
    again = tool.up()
    assert 0 == again.returncode, again.stderr
    assert f"restart required: `{CONFIG}` changed" in again.stderr
    restart = tool("restart", "--timeout", "60")
    assert 0 == restart.returncode, restart.stderr
    assert (8443, "listening") == api_row(tool)
    assert tool.json("status")["restart_needed"] is None


def assert_purged(tool: Tool, purge: Completed) -> None:
    """Assert that only files that K3s does not make are left: the stand-in's event file."""
    found = tool.machine.root("find", str(DATA), "-not", "-type", "d").stdout.split()
    assert set(found) <= {str(DATA / "standin-events.jsonl")}, purge.stderr
    assert (1 if found else 0) == purge.returncode, purge.stderr


def in_configuration_file(tool: Tool) -> None:
    configure(tool, f"data-dir: {DATA}\n")


def in_environment_file(tool: Tool) -> None:
    tool.machine.user("tee", str(ENVIRONMENT), stdin=f"K3S_DATA_DIR={DATA}\n").check_returncode()
    drop_in(tool, f"EnvironmentFile={ENVIRONMENT}")


def in_manager(tool: Tool) -> None:
    tool.machine.user(
        "systemctl", "--user", "set-environment", f"K3S_DATA_DIR={DATA}"
    ).check_returncode()


def in_command_by_variable(tool: Tool) -> None:
    tool.machine.user("tee", str(ENVIRONMENT), stdin=f"WHERE={DATA}\n").check_returncode()
    command = (
        "/usr/local/bin/k3s server --rootless --snapshotter=fuse-overlayfs --data-dir=${WHERE}"
    )
    drop_in(tool, f"EnvironmentFile={ENVIRONMENT}\nExecStart=\nExecStart={command}")


WAYS = [in_configuration_file, in_environment_file, in_manager, in_command_by_variable]


@pytest.mark.parametrize("configure_in", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("running", [True, False], ids=["running", "stopped"])
def test_the_data_directory_is_found_in_every_source(
    tool: Tool, configure_in: object, *, running: bool
) -> None:
    assert callable(configure_in)
    tool.order(version="v1.34.3+k3s1")
    configure_in(tool)

    up = tool.up("--timeout", "60")

    assert 0 == up.returncode, up.stderr
    assert (6443, "listening") == api_row(tool)
    assert [str(DATA)] == setting(tool, "data-dir")["values"]
    assert exists(tool, DATA / "server")
    if not running:
        tool("down").check_returncode()
    purge = tool("uninstall", "--purge", "--yes")
    assert f"remove {DATA} in a user namespace" in purge.stderr
    assert_purged(tool, purge)


def test_an_unknown_data_directory_is_not_purged(tool: Tool) -> None:
    tool.order(version="v1.34.3+k3s1")
    configure(tool, f"data-dir: {DATA}\n")
    tool.up("--timeout", "60").check_returncode()
    tool("down").check_returncode()
    configure(tool, "- no options\n")

    refused = tool("uninstall", "--purge", "--yes")

    assert 2 == refused.returncode
    assert (
        f"the data directory of K3s is not known: {CONFIG}: line 1: it is not a mapping"
        in refused.stderr
    )
    assert exists(tool, DATA / "server")
    assert exists(tool, UNIT)
    assert_purged(tool, tool("uninstall", "--purge", "--data-dir", str(DATA), "--yes"))
