"""Files of a killed K3s are removed, but never those of a K3s that runs."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.rootlesskit.state import leftovers
from k3s_rootless.service.act.clear_state import clear_state

UID = os.getuid()


def bound(path: Path, *, listening: bool = False) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    if listening:
        made.listen()
    return made


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """Return a state directory as SIGKILL leaves it."""
    (tmp_path / "lock").touch()
    (tmp_path / "child_pid").write_text("4242")
    (tmp_path / "child_pid").chmod(0o444)
    for name in ("api.sock", ".bp.sock"):
        bound(tmp_path / name).close()
    os.mkfifo(tmp_path / ".bp-ready.pipe")
    return tmp_path


@pytest.fixture
def locked(killed: Path) -> Iterator[Path]:
    """Return the same directory while a process holds its lock."""
    with (killed / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield killed


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_all_remaining_files_except_the_lock_are_removed(killed: Path) -> None:
    found = leftovers(killed, UID)
    clear_state(found)

    assert ["child_pid", "api.sock", ".bp.sock", ".bp-ready.pipe"] == [path.name for path in found]
    assert {"lock"} == names(killed)
    assert () == leftovers(killed, UID)


def test_a_locked_directory_is_in_use(locked: Path) -> None:
    before = names(locked)

    assert () == leftovers(locked, UID)
    with pytest.raises(RootlessError, match="a running K3s uses it"):
        clear_state([locked / "api.sock"])
    assert before == names(locked)


@pytest.mark.parametrize("name", ["api.sock", ".bp.sock"])
def test_a_socket_that_answers_is_in_use(killed: Path, name: str) -> None:
    (killed / name).unlink()
    with closing(bound(killed / name, listening=True)):
        assert () == leftovers(killed, UID)
        clear_state([killed / name, killed / "child_pid"])

        assert name in names(killed)


@pytest.mark.parametrize("uid", [UID + 1, 0 if UID else 1])
def test_the_directory_of_another_user_is_ignored(killed: Path, uid: int) -> None:
    assert () == leftovers(killed, uid)


def test_a_directory_that_is_a_link_is_not_followed(
    killed: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    link = tmp_path_factory.mktemp("elsewhere") / "rootless"
    link.symlink_to(killed)

    assert () == leftovers(link, UID)


def test_a_link_among_the_files_is_removed_but_not_its_target(
    killed: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    precious = tmp_path_factory.mktemp("elsewhere") / "precious"
    precious.write_text("mine")
    (killed / "api.sock").unlink()
    (killed / "api.sock").symlink_to(precious)

    clear_state(leftovers(killed, UID))

    assert "mine" == precious.read_text()
    assert {"lock"} == names(killed)


def test_the_search_for_leftovers_changes_nothing(killed: Path) -> None:
    (killed / "lock").unlink()

    assert 4 == len(leftovers(killed, UID))
    assert "lock" not in names(killed)


def test_a_clean_directory_has_no_leftovers(tmp_path: Path) -> None:
    assert () == leftovers(tmp_path, UID)
    assert () == leftovers(tmp_path / "nowhere", UID)
