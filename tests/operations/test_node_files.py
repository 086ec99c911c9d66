"""Tests that name the files of registries and containerd that a running K3s has not read."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from k3s_rootless.k3s.settings import Inputs, Settings, resolve
from k3s_rootless.operations import node_files
from k3s_rootless.service.facts import UnitState
from tests.operations.status.records import RELEASE, START, STATE, STOPPED

REGISTRIES = "etc/rancher/k3s/registries.yaml"
CONTAINERD = "agent/etc/containerd"


def settings(data: Path, *arguments: str) -> Settings:
    argv = ("/usr/bin/k3s", "server", f"--data-dir={data}", *arguments)
    return resolve(Inputs(data.parent, argv))


def write(path: Path, *, seconds: float = 60) -> Path:
    """Write a file so many seconds after the start of K3s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("# a comment\n")
    moment = (START + timedelta(seconds=seconds)).timestamp()
    os.utime(path, (moment, moment))
    return path


@pytest.fixture(autouse=True)
def rendered(tmp_path: Path) -> Path:
    """Render the configuration of containerd, as K3s does some seconds after its start."""
    return write(tmp_path / "k3s" / CONTAINERD / "config.toml", seconds=5)


def unit_of(release: str, tmp_path: Path) -> UnitState:
    fragment = tmp_path / "k3s-rootless.service"
    about = "K3s for this user, without root. Written by k3s-rootless for K3s"
    fragment.write_text(f"# {about} {release};\n")
    return replace(STATE, fragment=fragment)


@pytest.mark.parametrize(
    ("name", "seconds", "reported"),
    [
        (REGISTRIES, 60, True),
        (REGISTRIES, -60, False),
        (REGISTRIES, 0.5, False),
        (f"{CONTAINERD}/config-v3.toml.tmpl", 60, True),
        (f"{CONTAINERD}/config-v3.toml.d/user.toml", 60, True),
        (f"{CONTAINERD}/config-v3.toml.d/user.toml", -60, False),
        # K3s writes this file itself at each start.
        (f"{CONTAINERD}/config.toml", 60, False),
        # Without its template, no release with version 3 reads the drop-ins of version 2.
        (f"{CONTAINERD}/config.toml.d/user.toml", 60, False),
        (f"{CONTAINERD}/config-v3.toml.d/user.toml.bak", 60, False),
    ],
)
def test_files_that_were_written_after_the_start(
    name: str, seconds: float, *, reported: bool, tmp_path: Path
) -> None:
    path = write(tmp_path / "k3s" / name, seconds=seconds)
    expected = f"the running K3s was started before `{path}` was written" if reported else ""

    assert expected == node_files.outdated(STATE, settings(tmp_path / "k3s"))


def test_a_k3s_that_is_stopped_or_has_no_agent_need_not_restart(tmp_path: Path) -> None:
    write(tmp_path / "k3s" / REGISTRIES)

    assert "" == node_files.outdated(STOPPED, settings(tmp_path / "k3s"))
    assert "" == node_files.outdated(STATE, settings(tmp_path / "k3s", "--disable-agent"))


def test_a_k3s_that_has_not_rendered_the_configuration_yet_reads_it(
    tmp_path: Path, rendered: Path
) -> None:
    write(rendered, seconds=-600)
    write(tmp_path / "k3s" / CONTAINERD / "config-v3.toml.d/user.toml", seconds=-60)

    assert "" == node_files.outdated(STATE, settings(tmp_path / "k3s"))


def test_without_these_files_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert "" == node_files.outdated(STATE, settings(tmp_path / "k3s"))


def test_the_registries_can_be_in_another_file(tmp_path: Path) -> None:
    path = write(tmp_path / "registries.yaml")
    found = settings(tmp_path / "k3s", f"--private-registry={path}")

    assert str(path) in node_files.outdated(STATE, found)


def test_a_relative_path_of_the_registries_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "registries.yaml")
    monkeypatch.chdir(tmp_path)
    found = settings(tmp_path / "k3s", "--private-registry=registries.yaml")

    assert "" == node_files.outdated(STATE, found)


@pytest.mark.parametrize(("release", "reported"), [(RELEASE, False), ("v1.36.3+k3s1", True)])
def test_drop_ins_count_for_releases_that_read_them(
    release: str, *, reported: bool, tmp_path: Path
) -> None:
    path = write(tmp_path / "k3s" / CONTAINERD / "config-v3.toml.d/user.toml")

    reason = node_files.outdated(unit_of(release, tmp_path), settings(tmp_path / "k3s"))

    assert reported is (str(path) in reason)
