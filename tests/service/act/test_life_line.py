"""Tests of the lock that shows that the process of `run` is alive."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError
from k3s_rootless.service.act import life_line

_HOLDER = """
import sys, pathlib, time
from k3s_rootless.service.act import life_line
with life_line.held(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_only_one_process_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with (
        life_line.held(path),
        pytest.raises(RootlessError, match="another `k3s-rootless run` is active"),
        life_line.held(path),
    ):
        raise AssertionError("the lock was held twice")

    assert not path.exists()


def test_the_kernel_releases_the_lock_of_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", _HOLDER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert "held\n" == holder.stdout.readline()
        assert atomic.is_locked(path)
        holder.send_signal(signal.SIGKILL)

    assert path.exists(), "the file stays until the next `run`"
    with life_line.held(path):
        assert atomic.is_locked(path)
    assert not path.exists()


def test_a_lock_that_another_run_has_created_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "lock"

    with life_line.held(path):
        path.unlink()  # as the unit does when K3s has stopped
        path.write_text("")

    assert path.exists()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.symlink_to(tmp_path / "target")

    with pytest.raises(RootlessError, match="cannot open the lock"), life_line.held(path):
        raise AssertionError("a link was followed")

    assert not (tmp_path / "target").exists()
