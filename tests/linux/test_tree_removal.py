from __future__ import annotations

import fcntl
import os
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import tree_removal
from k3s_rootless.linux.id_mapping import IdMapping
from k3s_rootless.service.act import purge
from tests.patience import PATIENCE

ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can mount, and give files away")


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Yield a directory that must be unchanged after the test."""
    directory = tmp_path / "outside"
    (directory / "below").mkdir(parents=True)
    (directory / "below" / "precious").write_text("precious")
    yield directory
    assert "precious" == (directory / "below" / "precious").read_text()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    (directory / "agent" / "etc").mkdir(parents=True)
    (directory / "agent" / "file").write_text("x")
    return directory


def removed(directory: Path, only: tuple[str, ...] | None = None) -> tree_removal.Result:
    result = tree_removal.Result()
    tree_removal.remove(tree_removal.Task(directory, only), result)
    return result


def test_a_whole_directory_is_removed(data: Path) -> None:
    result = removed(data)

    assert not data.exists()
    assert (4, []) == (result.removed, result.survivors)


def test_links_are_removed_and_their_targets_stay(data: Path, outside: Path) -> None:
    (data / "directory").symlink_to(outside, target_is_directory=True)
    (data / "agent" / "file-link").symlink_to(outside / "below" / "precious")
    (data / "agent" / "up").symlink_to("../..")
    (data / "hard").hardlink_to(outside / "below" / "precious")
    os.mkfifo(data / "pipe")

    assert [] == removed(data).survivors
    assert not data.exists()


def test_a_link_instead_of_the_directory_is_refused(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "link").symlink_to(outside)

    with pytest.raises(RootlessError, match="it is a link, or not a directory"):
        removed(tmp_path / "link")


def test_entries_with_any_name_are_removed(data: Path) -> None:
    for name in (
        b"new\nline",
        b"\xff\xfe",
        b"-rf",
        b"*",
        b" ",
        "é".encode(),
        b"\x1b[31m",
        b"a" * 255,
    ):
        Path(os.fsdecode(os.fsencode(data) + b"/" + name)).write_text("")
        (Path(os.fsdecode(os.fsencode(data) + b"/d" + name[:200])) / "x").mkdir(parents=True)

    assert [] == removed(data).survivors
    assert not data.exists()


def test_a_very_deep_tree_is_removed_with_few_descriptors(data: Path) -> None:
    here = os.open(data, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir("d" * 20, dir_fd=here)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
    begun = time.monotonic()
    try:
        assert [] == removed(data).survivors
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert not data.exists()
    assert time.monotonic() - begun < PATIENCE


def test_only_the_selected_entries_are_removed(data: Path) -> None:
    (data / "letters").mkdir()
    (data / "letters" / "to mum").write_text("")

    result = removed(data, ("agent", "server"))

    assert ["letters"] == [path.name for path in data.iterdir()]
    assert [(str(data / "letters"), "it was not created by K3s")] == result.survivors


@ROOT
def test_mounts_are_not_entered_even_of_the_same_file_system(data: Path, outside: Path) -> None:
    (data / "bound").mkdir()
    (data / "agent" / "bound-file").touch()
    mounts = [
        (outside, data / "bound"),
        (outside / "below" / "precious", data / "agent" / "bound-file"),
    ]
    for source, target in mounts:
        if subprocess.run(
            ["mount", "--bind", source, target], capture_output=True, check=False
        ).returncode:
            pytest.skip("no user can mount on this machine")
    try:
        result = removed(data)
    finally:
        for _, target in mounts:
            subprocess.run(["umount", target], check=True)

    assert {
        str(data / "bound"): "another file system is mounted there",
        str(data / "agent" / "bound-file"): "it is a mount point",
    } == dict(result.survivors)


@ROOT
def test_an_entry_that_cannot_be_removed_is_reported(data: Path) -> None:
    (data / "agent" / "kept").write_text("")
    if subprocess.run(
        ["chattr", "+i", data / "agent" / "kept"], capture_output=True, check=False
    ).returncode:
        pytest.skip("this file system knows no immutable files")
    try:
        result = removed(data)
    finally:
        subprocess.run(["chattr", "-i", data / "agent" / "kept"], check=True)

    assert [(str(data / "agent" / "kept"), "operation not permitted")] == result.survivors
    assert ["kept"] == [path.name for path in (data / "agent").iterdir()]


def test_many_survivors_are_counted(data: Path) -> None:
    for number in range(70):
        (data / f"mine-{number:02}").touch()

    result = removed(data, ("agent",))

    assert (50, 20) == (len(result.survivors), result.more)


def test_without_a_namespace_removable_files_are_removed(data: Path) -> None:
    result = purge.remove(tree_removal.Task(data), "there is no newuidmap")

    assert "there is no newuidmap" == result.outside
    assert not data.exists()


def test_a_data_directory_in_use_is_detected_by_its_lock(data: Path) -> None:
    assert not purge.in_use(data)
    (data / "rootless").mkdir()
    (data / "rootless" / "lock").touch()
    assert not purge.in_use(data)

    with (data / "rootless" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert purge.in_use(data)

    assert not purge.in_use(data)


def test_a_failed_id_mapping_leaves_the_removal_to_the_user(data: Path) -> None:
    false = IdMapping("/bin/false", "/bin/false", [(100000, 65536)], [(100000, 65536)])

    result = purge.remove(tree_removal.Task(data), false)

    assert result.outside.startswith("/bin/false: ")
    assert not data.exists()
