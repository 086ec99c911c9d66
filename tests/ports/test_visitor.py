"""A visitor enters the namespaces of a process of ours, without privileges but those that it has there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

# In a user and a network namespace of its own, a program that listens; it tells its process and its port.
_INSIDE = """
import os, socket, sys
tcp, udp = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.bind(("::", 0))
print(os.getpid(), tcp.getsockname()[1], udp.getsockname()[1], flush=True)
sys.stdin.read()
"""
# A process of its own, since a visitor is made only where there is a single thread.
_LOOK = """
import sys, threading
from pathlib import Path
from k3s_rootless.ports import sockets, visitor

with visitor.ready() as ready:
    if ready is None:
        sys.exit("no visitor")
    directory = sockets.open_process(int(sys.argv[1]))
    thread = threading.Thread(target=print)
    thread.start()
    try:
        visited = sockets._diagnosed(ready.ask(directory))
    except OSError:
        print("refused", bool(sockets.of_process(directory, ready)))
    else:
        read = sockets.of_tables(Path(f"/proc/{sys.argv[1]}/net"))
        plain = [{(one.proto, one.address, one.port, one.inode) for one in found} for found in (visited, read)]
        print(plain[0] == plain[1], *sorted(plain[0]))
"""


@pytest.fixture
def listening() -> Iterator[tuple[str, str, str]]:
    unshare = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*unshare, sys.executable, "-c", _INSIDE], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        pid, tcp, udp = process.stdout.readline().split()
        yield pid, tcp, udp


def looked(code: str, pid: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, pid], capture_output=True, text=True, check=False)
    if "no visitor" in done.stderr:
        pytest.skip("this Python has no os.setns")
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


def test_it_sees_what_the_tables_tell(listening: tuple[str, str, str]) -> None:
    pid, tcp, udp = listening

    found = looked(_LOOK, pid)

    assert found.startswith("True ")
    assert f"('tcp', '127.0.0.1', {tcp}," in found
    assert f"('udp', '::', {udp}," in found


def test_where_the_kernel_lets_nobody_in_it_is_read_from_outside() -> None:
    """The user namespace of this very host cannot be entered by who lives in it: that is no empty list."""
    assert "refused True" == looked(_LOOK, "1")


def test_with_threads_there_is_no_visitor() -> None:
    code = """
import threading
from k3s_rootless.ports import visitor
with visitor.ready() as ready:
    print(ready is not None)
end = threading.Event()
threading.Thread(target=end.wait).start()
with visitor.ready() as ready:
    print(ready)
end.set()
"""

    assert ["None"] == looked(code, "1").split()[1:]
