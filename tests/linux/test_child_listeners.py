from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import child_listeners

UID = os.getuid()
GROUP = next(
    line.split(":", 2)[2]
    for line in Path("/proc/self/cgroup").read_text().splitlines()
    if line.count(":") >= 2
)
PROGRAM = (
    "import socket; s = socket.create_server(('0.0.0.0', 8080)); print('ready', flush=True);"
    " input()"
)


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """Yield a process in its own user and network namespace that listens on port 8080 there."""
    command = ["unshare", "--user", "--map-root-user", "--net", "/usr/bin/python3", "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        if process.stdout.readline() != b"ready\n":
            pytest.skip("this host allows no user namespaces")
        yield process.pid
        process.kill()


def test_another_namespace_is_read_without_entering_it(elsewhere: int) -> None:
    found = child_listeners.listeners(elsewhere, uid=UID, unit_group=GROUP)

    bound = ("tcp", "0.0.0.0", 8080)  # noqa: S104 (the address of the process)
    assert [bound] == [(one.proto, one.address, one.port) for one in found]


def test_a_pid_of_another_process_is_refused(elsewhere: int) -> None:
    with pytest.raises(RootlessError, match="not in the control group of the unit"):
        child_listeners.listeners(elsewhere, uid=UID, unit_group="/user.slice/k3s-rootless.service")
    with pytest.raises(RootlessError, match="not in the control group of the unit"):
        child_listeners.listeners(elsewhere, uid=UID, unit_group="")
    with pytest.raises(RootlessError, match=f"does not belong to uid {UID + 1}"):
        child_listeners.listeners(elsewhere, uid=UID + 1, unit_group=GROUP)
    with pytest.raises(RootlessError, match="in the network namespace of the host"):
        child_listeners.listeners(os.getpid(), uid=UID, unit_group=GROUP)
