"""Tests that a wait ends immediately if a file is created, changed or renamed into its place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from k3s_rootless.linux.inotify import Directories
from tests.patience import HANGS, PATIENCE

LONG = HANGS


@pytest.fixture
def watched() -> Iterator[Directories]:
    with Directories() as opened:
        yield opened


def rename_into(path: Path) -> None:
    new = path.with_name("new")
    new.write_text("whole")
    new.rename(path)


@pytest.mark.parametrize(
    "change",
    [Path.touch, Path.mkdir, rename_into, lambda path: path.write_text("more")],
    ids=["created", "directory created", "renamed", "written"],
)
def test_a_change_ends_the_wait_immediately(
    tmp_path: Path, watched: Directories, change: Callable[[Path], object]
) -> None:
    watched.arm([tmp_path / "api.sock"])
    threading.Timer(0.1, change, [tmp_path / "api.sock"]).start()
    begun = time.monotonic()

    assert watched.wait(LONG)
    assert time.monotonic() - begun < PATIENCE


def test_a_missing_directory_is_followed_while_it_is_created(
    tmp_path: Path, watched: Directories
) -> None:
    file = tmp_path / "a" / "b" / "api.sock"
    assert watched.arm([file])
    (tmp_path / "a").mkdir()
    assert watched.wait(LONG)
    assert watched.arm([file])
    (tmp_path / "a" / "b").mkdir()
    assert watched.wait(LONG)
    assert watched.arm([file])
    file.touch()

    assert watched.wait(LONG)


def test_arming_reports_whether_a_directory_is_new(tmp_path: Path, watched: Directories) -> None:
    """Callers read again after arming only if a file may have appeared before the watch."""
    (tmp_path / "a").mkdir()
    assert watched.arm([tmp_path / "a" / "api.sock"])
    assert not watched.arm([tmp_path / "a" / "api.sock", tmp_path / "a" / "other"])
    (tmp_path / "a").rmdir()
    (tmp_path / "a").mkdir()

    assert watched.arm([tmp_path / "a" / "api.sock"])


def test_a_change_between_arming_and_waiting_is_not_missed(
    tmp_path: Path, watched: Directories
) -> None:
    watched.arm([tmp_path / "api.sock"])
    (tmp_path / "api.sock").touch()

    assert watched.wait(LONG)
    assert not watched.wait(0)


def test_a_wait_without_a_change_takes_its_full_time(tmp_path: Path, watched: Directories) -> None:
    watched.arm([tmp_path / "api.sock"])
    begun = time.monotonic()

    assert not watched.wait(0.2)
    assert 0.19 < time.monotonic() - begun < PATIENCE


def test_a_wait_on_a_closed_watch_takes_its_full_time() -> None:
    watched = Directories()
    watched.close()
    watched.close()
    watched.arm([Path("/tmp/api.sock")])

    assert not watched.wait(0.01)
