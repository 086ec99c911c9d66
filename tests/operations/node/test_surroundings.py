"""Tests of what is known of the K3s that programs are run with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning, PreflightFailed, RootlessError
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.node import k3s_command, shell, surroundings
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session


def write_unit(bus: Session, program: str) -> None:
    (bus.units / UNIT).write_text(f"[Service]\nExecStart={program} server --rootless\n")


def executable(path: Path, mode: int = 0o755) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    os.chown(path, os.getuid(), os.getgid())
    return path


@pytest.fixture
def context(context: Context, home: Path) -> Context:
    """Return the context, in which K3s gets the home of the test."""
    with context.manager() as manager:
        manager.change_environment((), {"HOME": str(home)})
    return context


def test_the_program_and_the_files_are_those_of_the_unit(
    context: Context, bus: Session, home: Path
) -> None:
    program = executable(home / "k3s")
    write_unit(bus, str(program))
    (home / ".rancher/k3s/server/db/etcd").mkdir(parents=True)
    last = home / ".rancher/k3s/data/abc/bin"
    last.mkdir(parents=True)
    (last.parents[1] / "current").symlink_to(last.parent)

    _, found = surroundings.read(context)

    assert (str(program), home / ".rancher/k3s") == (found.program, found.data)
    assert found.etcd
    assert found.unpacked == last.parents[1] / "current" / "bin"
    assert (6443, "overlayfs") == (found.port, found.snapshotter)


def test_a_program_that_other_users_can_change_is_not_run(
    context: Context, bus: Session, home: Path
) -> None:
    program = executable(home / "k3s", 0o777)
    write_unit(bus, str(program))

    with pytest.raises(RootlessError, match=f"cannot run `{program}`: it is not trusted because"):
        k3s_command.run(context, ("token", "generate"))


def test_without_a_unit_and_k3s_the_command_that_gets_it_is_named(context: Context) -> None:
    with pytest.raises(PreflightFailed) as missing:
        k3s_command.run(context, ("completion", "bash"))

    assert "download and install it with: k3s-rootless up --get" == missing.value.hint


@pytest.mark.parametrize("words", [("crictl", "ps"), ("token", "list"), ("kubectl", "get", "pods")])
def test_a_stopped_k3s_is_reported_before_anything_runs(
    context: Context, bus: Session, home: Path, words: tuple[str, ...]
) -> None:
    write_unit(bus, str(executable(home / "k3s")))

    with pytest.raises(NotRunning, match=f"cannot run `k3s {words[0]} {words[1]}`"):
        k3s_command.run(context, words)
    with pytest.raises(NotRunning, match="cannot run `shell`: K3s is not running"):
        shell.run(context, ())
