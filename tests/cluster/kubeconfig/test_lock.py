from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from k3s_rootless.cluster.kubeconfig import lock
from tests.patience import PATIENCE


def in_child(work: Callable[[], object]) -> int:
    child = os.fork()
    if child:
        return child
    try:
        work()
    finally:
        os._exit(0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SECONDS", 0.0)


def test_each_file_is_locked_once_and_no_lock_stays(tmp_path: Path) -> None:
    files = [tmp_path / "b", tmp_path / "new/a", tmp_path / "b"]

    with lock.locked(files):
        assert (tmp_path / "b.lock").exists()
        assert (tmp_path / "new/a.lock").exists()

    assert ["new"] == [one.name for one in tmp_path.iterdir()]
    assert [] == list((tmp_path / "new").iterdir())


def test_a_lock_of_a_killed_run_is_replaced_at_once(file: Path, impatient: None) -> None:
    def die() -> None:
        with lock.locked([file]):
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(in_child(die), 0)
    assert file.with_name("config.lock").exists()

    with lock.locked([file]):
        assert file.with_name("config.lock").exists()
    assert not file.with_name("config.lock").exists()


def test_a_lock_of_a_running_one_is_waited_for(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "SECONDS", PATIENCE)
    taken, may_end = os.pipe(), os.pipe()

    def hold() -> None:
        with lock.locked([file]):
            os.write(taken[1], b"x")
            os.read(may_end[0], 1)

    child = in_child(hold)
    os.read(taken[0], 1)
    threading.Timer(0.1, os.write, (may_end[1], b"x")).start()
    with lock.locked([file]):
        assert (child, 0) == os.waitpid(child, 0)


@pytest.mark.parametrize("content", [b"", b"k3s-rootless", b"42\n", b"k3s-rootless\n\n"])
def test_a_lock_of_another_program_is_never_removed(
    file: Path, impatient: None, content: bytes
) -> None:
    held = file.with_name("config.lock")
    held.write_bytes(content)
    os.utime(held, (0, 0))

    with (
        pytest.raises(lock.LockHeld, match=r"cannot lock `.*/config`") as refused,
        lock.locked([file]),
    ):
        pass

    assert " h" in refused.value.message
    assert content == held.read_bytes()


def test_a_link_or_a_directory_in_place_of_a_lock(file: Path, impatient: None) -> None:
    held = file.with_name("config.lock")
    held.symlink_to("nowhere")
    with pytest.raises(lock.LockHeld), lock.locked([file]):
        pass
    held.unlink()
    held.mkdir()
    with pytest.raises(lock.LockHeld), lock.locked([file]):
        pass


def test_only_the_lock_that_the_user_saw_is_removed(file: Path, impatient: None) -> None:
    held = file.with_name("config.lock")
    held.touch()
    with pytest.raises(lock.LockHeld) as refused, lock.locked([file]):
        pass
    other = file.with_name("other")
    other.touch()
    other.replace(held)

    lock.release(refused.value.held)
    assert held.exists()
    with pytest.raises(lock.LockHeld) as again, lock.locked([file]):
        pass
    lock.release(again.value.held)
    lock.release(again.value.held)
    assert not held.exists()


def test_a_lock_that_replaced_ours_stays(file: Path) -> None:
    held = file.with_name("config.lock")
    with lock.locked([file]):
        held.unlink()
        held.touch()

    assert held.exists()
