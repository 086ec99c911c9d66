"""Tests of the state directory of rootlesskit: its path, and the known facts of its owner."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.rootlesskit import state
from tests import server
from tests.strategies import version

UID = os.getuid()


def listen(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = socket.socket(socket.AF_UNIX)
    made.bind(str(path))
    return made


def settings(data: Path, temporary: Path) -> Settings:
    return server.settings(data, data / "k3s.yaml", temporary=temporary)


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("v1.29.2+k3s1", ["data/rootless/api.sock"]),
        ("v1.29.1+k3s1", ["tmp/rootless22/api.sock", "tmp/rootless1/api.sock"]),
        (None, ["data/rootless/api.sock", "tmp/rootless22/api.sock", "tmp/rootless1/api.sock"]),
        (
            "v1.28.14+k3s-914f1d91",
            ["data/rootless/api.sock", "tmp/rootless22/api.sock", "tmp/rootless1/api.sock"],
        ),
    ],
)
def test_the_paths_of_the_socket_depend_on_the_release_with_the_newest_first(
    tmp_path: Path, release: str | None, expected: list[str]
) -> None:
    temporary = tmp_path / "tmp"
    for age, name in ((50, "rootless1"), (10, "rootless22")):
        listen(temporary / name / "api.sock").close()
        os.utime(temporary / name / "api.sock", (time.time() - age, time.time() - age))
    (temporary / "rootless3").mkdir()
    (temporary / "rootless4").symlink_to(temporary / "rootless1")

    known = version(release) if release else None
    found = state.sockets(settings(tmp_path / "data", temporary), known, uid=UID)

    assert expected == [str(path.relative_to(tmp_path)) for path in found]
    others = state.sockets(
        settings(tmp_path / "data", temporary), version("v1.22.2+k3s1"), uid=UID + 1
    )
    assert () == others


def test_the_child_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "child_pid").write_text("4242\n")

    assert 4242 == state.child(tmp_path)
    (tmp_path / "child_pid").write_text("none")
    with pytest.raises(ValueError, match="none"):
        state.child(tmp_path)
    with pytest.raises(FileNotFoundError):
        state.child(tmp_path / "nowhere")


def test_a_child_counts_if_it_runs_since_this_start(tmp_path: Path) -> None:
    (tmp_path / "child_pid").write_text(str(os.getpid()))
    written = datetime.fromtimestamp((tmp_path / "child_pid").stat().st_mtime, UTC)
    later = written + timedelta(seconds=1)

    assert state.has_child([tmp_path / "nowhere", tmp_path], since=None)
    assert state.has_child([tmp_path], since=written)
    assert not state.has_child([tmp_path], since=later)
    (tmp_path / "child_pid").write_text("0")
    assert not state.has_child([tmp_path], since=None)
    (tmp_path / "child_pid").write_text("none")
    assert not state.has_child([tmp_path], since=None)


def test_a_directory_is_in_use_while_its_lock_is_held(tmp_path: Path) -> None:
    assert not state.is_held(tmp_path)
    with state.held(tmp_path, create=True):
        assert state.is_held(tmp_path)
    assert not state.is_held(tmp_path)


def test_the_lock_of_a_running_rootlesskit_cannot_be_taken(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        with pytest.raises(RootlessError, match="a running K3s uses it"), state.held(tmp_path):
            pass


def test_a_missing_lock_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), state.held(tmp_path):
        pass


def test_only_a_socket_with_a_listener_answers(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    listen(tmp_path / "dead").close()
    with listen(tmp_path / "live") as live:
        live.listen()

        assert [False, False, False, True] == [
            state.answers(tmp_path / name) for name in ("none", "file", "dead", "live")
        ]


def test_the_state_directory_of_a_process_is_where_its_lock_is(tmp_path: Path) -> None:
    descriptors = tmp_path / "proc" / "42" / "fd"
    descriptors.mkdir(parents=True)
    for number, target in enumerate(
        ("/dev/null", "socket:[1]", "/home/alice/my data/rootless/lock")
    ):
        (descriptors / str(number)).symlink_to(target)

    assert Path("/home/alice/my data/rootless") == state.of_process(42, tmp_path)
    assert state.of_process(43, tmp_path) is None
    (descriptors / "2").unlink()
    assert state.of_process(42, tmp_path) is None
