"""Tests of `df`: real trees, with files and directories of other users."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.errors import PreflightFailed
from k3s_rootless.operations import disk_usage
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import Paths
from tests.fakes.user import USER

AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files to others")
FILES = {
    "datastore": "server/db/state.db",
    "images": "agent/containerd/io.containerd.content.v1.content/blobs/sha256/ab",
    "snapshots": "agent/containerd/io.containerd.snapshotter.v1.fuse-overlayfs/snapshots/1/fs/x",
    "image archives": "agent/images/mine.tar",
    "volumes": "storage/pvc-1/data",
    "extractions": "data/abc/bin/k3s",
    "logs": "logs/pods/x/0.log",
    "other": "kubelet/pods/1/etc-hosts",
}


@pytest.fixture
def context(home: Path) -> Context:
    """Return the context of a user without a session, with a file of 100 KB in each part."""
    paths = Paths(home / "root", home, home / "run", home / "config", home / "share")
    for name in FILES.values():
        write(paths.data / name)
    write(paths.own / "releases/v1.36.3+k3s1/k3s")
    write(paths.backups / "a.tar.gz")
    for path in home.rglob("*"):
        os.chown(path, USER, USER)
    return Context(paths, {"PATH": str(home / "bin")}, USER, "alice")


def write(path: Path, size: int = 100_000) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(range(256)) * (size // 256))


def sizes(context: Context) -> dict[str, int]:
    return {one.part.name: one.size for one in disk_usage.read(context).rows}


def test_each_part_has_its_bytes(context: Context) -> None:
    found = disk_usage.read(context)

    assert {*FILES, "releases", "backups"} == {one.part.name for one in found.rows}
    assert all(98_000 < one.size < 200_000 for one in found.rows), found.rows
    assert found.complete
    assert sum(one.size for one in found.rows) == found.size


def test_the_sum_is_that_of_the_directory(context: Context) -> None:
    """No file is counted twice, and none is left out."""
    found = sizes(context)
    own = found.pop("releases") + found.pop("backups")
    everything = [context.paths.data, *context.paths.data.rglob("*")]

    assert sum(one.lstat().st_blocks * 512 for one in everything) == sum(found.values())
    assert own > 0


def test_nothing_occupies_nothing(context: Context, tmp_path: Path) -> None:
    paths = replace(context.paths, home=tmp_path, share=tmp_path)

    found = disk_usage.read(replace(context, paths=paths))

    assert {0} == {one.size for one in found.rows}
    assert found.complete
    (system,) = found.file_systems
    assert system.path in (tmp_path, *tmp_path.parents)
    assert 0 <= system.free <= system.size


def test_names_of_one_file_count_once_and_links_are_not_followed(
    context: Context, tmp_path: Path
) -> None:
    before = sizes(context)
    volume = context.paths.data / "storage/pvc-1"
    (volume / "again").hardlink_to(volume / "data")
    write(tmp_path / "large", 1_000_000)
    (volume / "link").symlink_to(tmp_path)

    assert sizes(context)["volumes"] - before["volumes"] < 50_000


def test_a_part_behind_a_link_is_counted(context: Context, tmp_path: Path) -> None:
    storage = context.paths.data / "storage"
    storage.rename(tmp_path / "storage")
    storage.symlink_to(tmp_path / "storage")

    assert sizes(context)["volumes"] > 98_000


def test_sparse_files_count_with_what_they_occupy(context: Context) -> None:
    with (context.paths.data / "storage/sparse").open("wb") as file:
        file.truncate(2**40)

    assert sizes(context)["volumes"] < 1_000_000


@AS_ROOT
def test_a_directory_of_a_subordinate_id_is_unknown_with_its_reason(context: Context) -> None:
    (context.paths.root / "etc").mkdir(parents=True)
    (context.paths.root / "etc/subuid").write_text("alice:100000:65536\n")
    for name, uid in (("postgres", 100_999), ("other", 4_000_000)):
        directory = context.paths.data / "storage" / name
        directory.mkdir(mode=0o700)
        write(directory / "data")
        os.chown(directory, uid, uid)

    directory = context.paths.data / "kubelet/pods/1/volumes"
    directory.mkdir(mode=0o700)
    os.chown(directory, 100_999, 100_999)

    document = as_the_user(context)

    assert None is document["bytes"]
    volumes, other = (one for one in document["parts"] if one["unknown"])
    assert ("volumes", "other") == (volumes["name"], other["name"])
    assert None is volumes["bytes"]
    assert volumes["at_least"] > 98_000
    assert "cannot be read: it belongs to " in volumes["unknown"]
    assert "; 1 more directories cannot be read" in volumes["unknown"]
    reason = "it belongs to your subordinate id 100999 (permission denied)"
    assert f"{directory} cannot be read: {reason}" == other["unknown"]


def as_the_user(context: Context) -> dict[str, Any]:
    """Return the answer of a process without the capabilities of root."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(USER, USER, USER)
            os.write(writing, json.dumps(disk_usage.document(disk_usage.read(context))).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found: dict[str, Any] = json.loads(pipe.read())
    os.waitpid(child, 0)
    return found


def test_no_time_is_a_reason(context: Context) -> None:
    found = disk_usage.read(context, seconds=-1.0)

    assert {"counting took too long"} == {one.unknown for one in found.rows}


def test_each_command_is_one_that_a_shell_accepts(context: Context) -> None:
    for row in disk_usage.read(context).rows:
        words = shlex.split(row.part.command)
        assert words, row.part.name
        for path in row.part.paths[:1]:
            if words[0] in {"rm", "find"}:
                assert words[1].startswith(str(path))


def test_root_is_refused(context: Context) -> None:
    with pytest.raises(PreflightFailed, match="as root"):
        disk_usage.read(replace(context, uid=0))
