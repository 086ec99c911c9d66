"""Tests of port conflicts before a start: ports in use, their owners, and free ports instead."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.linux.facts import Listener
from k3s_rootless.ports.facts import Holder
from k3s_rootless.ports.rules import startup_conflicts
from k3s_rootless.ports.rules.reasons import described
from k3s_rootless.ports.sources import holders
from tests.server import of_command

HOME = Path("/home/alice")
SETTINGS = of_command((), {}, HOME)


def at(*ports: int, uid: int = 1001, proto: str = "tcp") -> list[Listener]:
    return [Listener(proto, "0.0.0.0", port, uid) for port in ports]  # noqa: S104 (nothing listens)


@pytest.mark.parametrize(
    ("arguments", "traefik", "expected"),
    [
        ((), True, (6443, 10080, 10443)),
        ((), False, (6443,)),
        (("--disable", "servicelb"), True, (6443,)),
        (("--https-listen-port=7443",), True, (7443, 10080, 10443)),
    ],
)
def test_the_host_ports_that_k3s_needs(
    arguments: tuple[str, ...],
    traefik: bool,  # noqa: FBT001
    expected: tuple[int, ...],
) -> None:
    assert expected == startup_conflicts.needed_ports(
        of_command(arguments, {}, HOME), traefik=traefik
    )


def test_only_tcp_ports_that_k3s_needs_are_conflicts() -> None:
    listeners = [*at(6443, 10443, 8080), *at(10080, proto="udp")]

    assert [6443, 10443] == list(startup_conflicts.ports_in_use(SETTINGS, listeners, traefik=True))


def test_a_free_port_replaces_each_port_in_use() -> None:
    assert {6443: 6543, 10080: 8080, 10443: 8443} == startup_conflicts.free_ports(
        (6443, 10080, 10443), at(6443, 10080, 10443), SETTINGS
    )
    # 6544 is in use, and K3s itself uses the port after that of the API. 8080 is in use, so 8180.
    assert {6443: 6643, 10080: 8180} == startup_conflicts.free_ports(
        (6443, 10080), at(6443, 6544, 10080, 8080), SETTINGS
    )


@given(st.sets(st.integers(1, 65535), max_size=200))
def test_each_suggested_port_is_free_and_suggested_once(busy: set[int]) -> None:
    free = startup_conflicts.free_ports((6443, 10080, 10443), at(*busy, 6443), SETTINGS)

    assert len(free) == len(set(free.values()))
    assert not set(free.values()) & busy
    assert not {port + 1 for port in free.values()} & busy
    assert 6444 not in free.values()


@pytest.mark.parametrize(
    ("holder", "expected"),
    [
        (
            Holder(0, "root"),
            "a process of user root (uid 0); the same user runs K3s (k3s.service, PID 9)",
        ),
        (Holder(1002, "bob"), "a process of user bob (uid 1002)"),
        (
            Holder(1500, "alice", 7, "python3", "web.service"),
            "python3 (PID 7, web.service)",
        ),
    ],
)
def test_the_owner_of_a_port_is_described_with_the_k3s_of_this_user(
    holder: Holder, expected: str
) -> None:
    others = [
        Holder(0, "root", 9, "k3s-server", "k3s.service"),
        Holder(1002, "bob", 5, "k3s-server", ""),
    ]

    assert expected == startup_conflicts.owner(holder, others, 1500, described)


def process(proc: Path, pid: int, program: str, unit: str) -> None:
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "comm").write_text(f"{program}\n")
    (proc / str(pid) / "cgroup").write_text(f"0::/system.slice/{unit}\n")


def test_each_k3s_of_the_host_is_listed_once_and_nothing_else(tmp_path: Path) -> None:
    """Not listed: this program, its child processes, and `k3s kubectl`."""
    process(tmp_path, 11, "k3s-server", "k3s.service")
    process(tmp_path, 12, "containerd", "k3s.service/k3s_evac")
    process(tmp_path, 13, "bash", "session-3.scope")
    process(tmp_path, 14, "k3s-server", "session-3.scope")
    process(tmp_path, 16, "k3s-rootless", "session-4.scope")
    process(tmp_path, 17, "sleep", "k3s-rootless-check-17-00.service")
    process(tmp_path, 18, "k3s", "session-5.scope")
    (tmp_path / "15").mkdir()
    (tmp_path / "self").mkdir()

    found = holders.of_k3s(proc=tmp_path)

    assert [(11, "k3s.service"), (14, "session-3.scope")] == [(one.pid, one.unit) for one in found]


def test_the_process_that_holds_a_lock_is_found(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    hold = (
        f"import fcntl; held = open({str(lock)!r}); fcntl.flock(held, fcntl.LOCK_EX);"
        " print(flush=True); input()"
    )
    assert holders.of_lock(lock, uid=os.getuid()) is None
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout
        other.stdout.readline()
        found = holders.of_lock(lock, uid=os.getuid())
        others = holders.of_lock(lock, uid=os.getuid() + 1)
        other.kill()

    assert found is not None
    assert (other.pid, os.getuid()) == (found.pid, found.uid)
    assert others is None


def test_a_lock_of_this_process_is_found(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = holders.of_lock(lock, uid=os.getuid())

    assert found is not None
    assert found.pid == os.getpid()
