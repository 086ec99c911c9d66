"""Tests of a child that creates a user namespace, waits for its ids and works as its root.

The child never keeps running.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k3s_rootless.linux.user_namespace import Child
from tests.patience import PATIENCE
from tests.preflight.trees import write

MAY_UNSHARE = 0 == subprocess.run(["unshare", "--user", "true"], check=False).returncode
needs_namespaces = pytest.mark.skipif(
    not MAY_UNSHARE, reason="this host makes no user namespace for this user"
)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may write the map of another without newuidmap"
)


@contextmanager
def child(
    prepare: Callable[[], bytes] = bytes, work: Callable[[], bytes] = bytes
) -> Iterator[Child]:
    made = Child(prepare, work)
    try:
        yield made
    finally:
        made.end()


def soon() -> float:
    return time.monotonic() + PATIENCE


@needs_namespaces
def test_the_child_prepares_inside_its_namespace() -> None:
    with child(lambda: str(Path("/proc/self/ns/user").readlink()).encode()) as one:
        assert 0 == one.error(soon())
        found = one.receive(len("user:[4026531837]"), soon())

    assert found is not None
    assert found.startswith(b"user:[")
    assert found != str(Path("/proc/self/ns/user").readlink()).encode()


@needs_namespaces
def test_without_proceed_the_child_does_not_work() -> None:
    with child(work=lambda: b"worked") as one:
        assert 0 == one.error(soon())
        assert one.receive(6, time.monotonic() + 0.1) is None


@needs_root
@needs_namespaces
def test_the_child_works_as_root_after_its_ids_are_mapped(tmp_path: Path) -> None:
    script = '#!/bin/sh\necho "0 %d 1" > /proc/$1/%s\n'
    programs = (
        str(write(tmp_path / "newuidmap", script % (os.getuid(), "uid_map"), 0o755)),
        str(write(tmp_path / "newgidmap", script % (os.getgid(), "gid_map"), 0o755)),
    )

    def identity() -> bytes:
        return f"{os.getresuid()} {os.getresgid()}".encode()

    with child(work=identity) as one:
        assert 0 == one.error(soon())
        done = [one.map_ids(program, 0, (), PATIENCE) for program in programs]
        one.proceed()
        found = one.receive_all()

    assert [0, 0] == [each.status for each in done]
    assert b"(0, 0, 0) (0, 0, 0)" == found


@needs_namespaces
def test_ranges_follow_each_other_inside(tmp_path: Path) -> None:
    echo = write(tmp_path / "newuidmap", '#!/bin/sh\nshift\necho "$@"\n', 0o755)

    with child() as one:
        done = one.map_ids(str(echo), 1000, [(100_000, 1000), (300_000, 64_536)], PATIENCE)

    assert "0 1000 1 1 100000 1000 1001 300000 64536\n" == done.stdout


def test_a_large_result_is_received_completely(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not MAY_UNSHARE:
        pytest.skip("needs root, and a user namespace")
    script = '#!/bin/sh\necho "0 0 1" > /proc/$1/%s\n'
    with child(work=lambda: b"x" * 1_000_000) as one:
        assert 0 == one.error(soon())
        for name in ("uid_map", "gid_map"):
            one.map_ids(str(write(tmp_path / name, script % name, 0o755)), 0, (), PATIENCE)
        one.proceed()

        assert 1_000_000 == len(one.receive_all())


def test_a_killed_child_returns_no_result() -> None:
    def die() -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    with child(die) as one:
        assert one.error(soon()) is None


def test_the_child_keeps_no_descriptor_of_its_parent() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as ends, child():
        os.close(writing)

        assert b"" == ends.read()


def test_the_child_ends_with_its_parent() -> None:
    code = (
        "import os\n"
        "from k3s_rootless.linux.user_namespace import Child\n"
        "one = Child(bytes, bytes)\n"
        "one.error()\n"
        "print(one._pid, flush=True)\n"
        "os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    process = Path("/proc", done.stdout.strip())

    deadline = soon()
    while process.exists() and " Z " not in (process / "stat").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
