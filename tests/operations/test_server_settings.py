"""Tests that the settings of a unit combine its command, its files and its environment.

For a running K3s, they are read from its process.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.k3s.origin import Origin, Source
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import UNIT, Paths
from k3s_rootless.service.facts import UnitState

COMMAND = ("/usr/local/bin/k3s", "server", "--rootless")
HOLDER = "import sys, time; file = open(sys.argv[1]); print(flush=True); time.sleep(600)"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    home = tmp_path / "home"
    home.mkdir()
    return Context(
        Paths(tmp_path, home, tmp_path / "run", home / ".config"),
        {},
        os.getuid(),
        "alice",
    )


@pytest.fixture
def unit(context: Context) -> UnitState:
    fragment = write(context.paths.home / UNIT, f"[Service]\nExecStart={' '.join(COMMAND)}\n")
    return UnitState(UNIT, "loaded", "inactive", "dead", fragment=fragment, argv=COMMAND)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@contextmanager
def holding(lock: Path, environ: Mapping[str, str]) -> Iterator[int]:
    """Start a process with this environment that holds a file open, as rootlesskit its lock."""
    write(lock, "")
    given = {"PATH": os.defpath, "INVOCATION_ID": "0", **environ}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(lock)], env=given, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_the_next_start_has_what_each_place_gives(context: Context, unit: UnitState) -> None:
    config = write(context.paths.root / "etc/rancher/k3s/config.yaml", "https-listen-port: 7443\n")
    assigning = write(context.paths.home / "k3s.env", "K3S_DATA_DIR=~/data\nPORT=8443\n")
    state = replace(unit, environment_files=((str(assigning), False),))
    manager = {"K3S_NODE_NAME": "node", "K3S_DATA_DIR": "/of/manager", "TMPDIR": "/var/tmp"}

    found = server_settings.of_next_start(context, state, manager)

    assert found.value("https-listen-port").origin == Origin(Source.CONFIG_FILE, config, 1)
    assert (found.data, found.node_name, found.temporary) == (
        context.paths.home / "data",
        "node",
        Path("/var/tmp"),
    )
    data = Origin(Source.ENVIRONMENT, assigning, variable="K3S_DATA_DIR", place="EnvironmentFile")
    assert data == found.value("data-dir").origin
    assert (
        Origin(Source.ENVIRONMENT, variable="K3S_NODE_NAME", place="manager")
        == found.value("node-name").origin
    )
    assert found.value("rootless").origin == Origin(Source.COMMAND_LINE, unit.fragment)
    assert () == found.problems
    commanded = replace(state, argv=(*COMMAND, "--https-listen-port=${PORT}"))
    assert 8443 == server_settings.of_next_start(context, commanded, manager).https_port


def test_the_variable_names_the_file_that_counts(context: Context, unit: UnitState) -> None:
    write(context.paths.root / "etc/rancher/k3s/config.yaml", "https-listen-port: 1\n")
    write(context.paths.home / "mine.yaml", "https-listen-port: 7443\n")
    state = replace(
        unit,
        argv=(*COMMAND, "--config", "/none.yaml"),
        environment={"K3S_CONFIG_FILE": "mine.yaml"},
    )

    assert 7443 == server_settings.of_next_start(context, state, {}).https_port
    unset = replace(state, unset=("K3S_CONFIG_FILE",))
    (missing,) = server_settings.of_next_start(context, unset, {}).files
    assert (Path("/none.yaml"), "it does not exist") == (missing.path, missing.missing)


def test_an_environment_file_that_cannot_be_read_leaves_doubt(
    context: Context, unit: UnitState
) -> None:
    state = replace(unit, environment_files=((str(context.paths.home / "none.env"), False),))

    found = server_settings.of_next_start(context, state, {})

    assert "none.env` does not exist" in found.doubt("data-dir")
    commanded = replace(state, argv=(*COMMAND, "--data-dir=/d"))
    assert "" == server_settings.of_next_start(context, commanded, {}).doubt("data-dir")


def test_a_running_k3s_has_the_environment_and_the_directory_of_its_process(
    context: Context, unit: UnitState
) -> None:
    held = context.paths.home / "held"
    environ = {"K3S_NODE_NAME": "of-process"}
    with holding(held / "rootless/lock", environ) as pid:
        running = replace(
            unit,
            active_state="active",
            sub_state="running",
            main_pid=pid,
            environment={"K3S_NODE_NAME": "new"},
        )

        found = server_settings.of(context, running)

    assert (found.node_name, found.data) == ("of-process", held)
    assert found.value("data-dir").origin.source is Source.PROCESS
    assert str(pid) in str(found.value("data-dir").origin)


def test_before_k3s_is_executed_its_environment_is_that_of_the_next_start(
    context: Context, unit: UnitState
) -> None:
    assigned = write(context.paths.home / "k3s.env", "K3S_DATA_DIR=/d\n")
    with holding(context.paths.home / "lock", {"INVOCATION_ID": "of the user manager"}) as pid:
        running = replace(
            unit, active_state="active", sub_state="running", main_pid=pid, invocation="of the unit"
        )
        running = replace(running, environment_files=((str(assigned), False),))
        context = replace(
            context, paths=replace(context.paths, runtime=context.paths.root / "none")
        )

        found = server_settings.of(context, running)

    assert Path("/d") == found.data


def test_a_file_that_changed_after_the_start_is_named(context: Context, unit: UnitState) -> None:
    config = write(context.paths.root / "etc/rancher/k3s/config.yaml", "https-listen-port: 8443\n")
    data = context.paths.home / ".rancher/k3s"
    with holding(data / "rootless/lock", {}) as pid:
        now = datetime.now(UTC)
        before = replace(
            unit,
            active_state="active",
            sub_state="running",
            main_pid=pid,
            started=now - timedelta(minutes=1),
        )
        after = replace(before, started=now + timedelta(minutes=1))

        assert (
            f"`{config}` changed after K3s was started"
            == server_settings.of(context, before).outdated
        )
        assert "" == server_settings.of(context, after).outdated


def test_without_a_unit_the_default_file_is_left(context: Context) -> None:
    write(context.paths.root / "etc/rancher/k3s/config.yaml", "https-listen-port: 7443\n")

    found = server_settings.of(context, None)

    assert (7443, ("systemd could not be queried about the unit",)) == (
        found.https_port,
        found.problems,
    )
