"""Tests that a release unpacks itself while the earlier one runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.binaries import installed
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.upgrade import unpacking
from tests.operations import unit

NEW, OLD = "v1.36.3+k3s1", "v1.27.4+k3s1"


def write(context: Context, release: str, script: str) -> Path:
    """Write a release that runs a script."""
    program = installed.path_of(context.paths.own, release)
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


def test_it_unpacks_itself_to_the_data_directory(context: Context, home: Path) -> None:
    write(context, NEW, f'echo "$K3S_DATA_DIR $HOME $@" >{home}/config/called')

    unpacking.ahead(context, home / "data", NEW)

    called = (home / "config/called").read_text()
    assert f"{home}/data {home} kubectl version --client\n" == called


def test_an_old_release_would_use_another_directory(
    context: Context, home: Path, events: list[Event]
) -> None:
    write(context, OLD, f"touch {home}/config/called")

    unpacking.ahead(context, home / "data", OLD)

    assert not (home / "config/called").exists()
    assert [] == events


@pytest.mark.parametrize(
    ("script", "why"),
    [("exit 3", "exited with status 3"), ("exec /bin/sleep 60", "did not finish")],
)
def test_a_failure_is_reported_only(
    context: Context,
    home: Path,
    events: list[Event],
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    why: str,
) -> None:
    monkeypatch.setattr(unpacking, "SECONDS", 2.0)
    write(context, NEW, script)

    unpacking.ahead(context, home / "data", NEW)

    assert why in unit.notices(events)[-1]
