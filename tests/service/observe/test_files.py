from __future__ import annotations

import os
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.observe import files


def state(*drop_ins: Path) -> UnitState:
    return UnitState(UNIT, "loaded", "inactive", "dead", drop_ins=drop_ins)


def test_a_file_is_read_with_its_mode(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_bytes(b"caf\xe9\r\n")
    (tmp_path / "a.conf").chmod(0o640)

    found = files.read(tmp_path / "a.conf")

    assert ("caf\udce9\r\n", 0o640, False) == (found.text, found.mode, found.link)


def test_a_link_is_reported_with_its_target(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("real")
    for name, target in (("there", "real"), ("gone", "nowhere"), ("masked", "/dev/null")):
        (tmp_path / name).symlink_to(target)

    found = {name: files.read(tmp_path / name) for name in ("there", "gone", "masked")}

    assert {"there": "real", "gone": None, "masked": ""} == {
        name: one.text for name, one in found.items()
    }
    assert all(one.link for one in found.values())


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()

    for name, reason in (("pipe", "it is not a regular file"), ("directory", "is a directory")):
        with pytest.raises(RootlessError, match=reason):
            files.read(tmp_path / name)


def test_a_file_without_end_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**30)

    with pytest.raises(RootlessError, match="larger than 4 MiB"):
        files.read(tmp_path / "large")


def test_drop_ins_are_the_loaded_and_the_new_ones(tmp_path: Path) -> None:
    elsewhere = tmp_path / "etc" / "10-admin.conf"
    directory = tmp_path / f"{UNIT}.d"
    for path in (
        elsewhere,
        directory / "override.conf",
        directory / "50-k3s-rootless-server.conf",
        directory / "x.conf.bak",
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_text(path.name)
    (directory / "60-directory.conf").mkdir()

    found = files.drop_ins(
        directory, state(elsewhere, directory / "override.conf", tmp_path / "gone.conf")
    )

    assert [
        "10-admin.conf",
        "override.conf",
        "gone.conf",
        "50-k3s-rootless-server.conf",
        "60-directory.conf",
    ] == [one.path.name for one in found]
    assert ["10-admin.conf", "override.conf", None, "50-k3s-rootless-server.conf", None] == [
        one.text for one in found
    ]
    assert "is a directory" in found[-1].problem
    assert () == files.drop_ins(tmp_path / "none", state())


def test_a_directory_that_cannot_be_listed_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(RootlessError, match="cannot list"):
        files.names(tmp_path / "file")
    assert files.names(tmp_path / "none") is None
    assert frozenset({"file"}) == files.names(tmp_path)
