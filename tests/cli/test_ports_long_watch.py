"""Tests that a long `ports --watch` keeps its memory and number of descriptors.

2,000 changes happen, and each look finds another forward.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.fakes.session import PROJECT, as_user, session
from tests.patience import HANGS, PATIENCE
from tests.ports import peers

pytestmark = pytest.mark.thorough

USER = 65534 if os.getuid() == 0 else os.getuid()
CHANGES = 2_000
A_WATCH = 100
"""Changes until the API server ends a watch at its time limit; the next watch continues."""


class Cluster:
    """API server with changing Services, and a rootlesskit with another forward each time."""

    def __init__(self) -> None:
        self.changes = 0
        self.requests = 0

    def api(self, handler: peers.Handler) -> None:
        """Answer a list with no items, and a watch with the next changes."""
        if "watch=1" not in handler.path:
            handler.send(
                200,
                json.dumps(
                    {"metadata": {"resourceVersion": str(self.changes)}, "items": []}
                ).encode(),
            )
            return
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(A_WATCH):
            if self.changes >= CHANGES:
                handler.server.stopped.wait(HANGS)
                break
            self.changes += 1
            line = json.dumps(self._event(self.changes)).encode() + b"\n"
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            time.sleep(0.002)
        handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    def _event(self, number: int) -> dict[str, Any]:
        kind = "ADDED" if number == CHANGES else ("ADDED", "MODIFIED", "DELETED")[number % 3]
        name = "last" if number == CHANGES else f"web-{number // 3}"
        spec = {"type": "LoadBalancer", "ports": [{"name": "x" * 15, "port": 10_000 + number}]}
        metadata = {
            "name": name,
            "namespace": "default",
            "resourceVersion": str(number),
            "annotations": {"a": "x" * 2000},
        }
        return {
            "type": kind,
            "object": {"metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}},
        }

    def rootlesskit(self, handler: peers.Handler) -> None:
        """Answer the info, and list another forward each time."""
        self.requests += handler.path == "/v1/ports"
        spec = {"proto": "tcp", "parentPort": 30_000 + self.requests % 1000, "childPort": 80}
        answer = {"/v1/info": {"childPID": 1}, "/v1/ports": [{"id": self.requests, "spec": spec}]}[
            handler.path
        ]
        handler.send(200, json.dumps(answer).encode())


def kubeconfig(authority: trustme.CA, client: trustme.LeafCert, port: int) -> str:
    """Return the kubeconfig as JSON, which is a subset of YAML."""

    def encoded(data: bytes) -> str:
        return base64.b64encode(data).decode()

    cluster = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": encoded(authority.cert_pem.bytes()),
    }
    user = {
        "client-certificate-data": encoded(client.cert_chain_pems[0].bytes()),
        "client-key-data": encoded(client.private_key_pem.bytes()),
    }
    return json.dumps(
        {
            "current-context": "d",
            "contexts": [{"name": "d", "context": {"cluster": "d", "user": "d"}}],
            "clusters": [{"name": "d", "cluster": cluster}],
            "users": [{"name": "d", "user": user}],
        }
    )


@contextlib.contextmanager
def running(cluster: Cluster) -> Iterator[subprocess.Popen[bytes]]:
    """Run a K3s and its user manager, and watch its ports."""
    with contextlib.ExitStack() as opened:
        home = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="k3s-rootless-")))
        home.chmod(0o755)
        (home / "session").mkdir()
        fake = opened.enter_context(session(home / "session", USER))
        socket = home / "data/rootless/api.sock"
        socket.parent.mkdir(parents=True)
        opened.enter_context(peers.on_socket(socket, cluster.rootlesskit))
        authority = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        server = opened.enter_context(peers.over_tls(context, cluster.api))
        path = home / "k3s.yaml"
        path.write_text(
            kubeconfig(authority, authority.issue_cert("admin.invalid"), server.server_address[1])
        )
        for owned in (socket, path):
            os.chown(owned, USER, USER)
        argv = [
            "k3s",
            "server",
            "--rootless",
            f"--data-dir={home}/data",
            f"--write-kubeconfig={path}",
        ]
        states = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running"}
        properties: dict[str, tuple[str, Any]] = {name: ("s", one) for name, one in states.items()}
        properties["ExecStart"] = ("a(sasbttttuii)", [["k3s", argv, False, 0, 0, 0, 0, 0, 0, 0]])
        fake.order(properties=properties)
        command = [
            *as_user(USER),
            sys.executable,
            "-m",
            "k3s_rootless",
            "ports",
            "--watch",
            "--json",
        ]
        environ = {
            "PATH": "/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(fake.runtime),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        process = opened.enter_context(
            subprocess.Popen(
                command, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
        opened.callback(process.kill)
        yield process


def taken(pid: int) -> tuple[float, int, int]:
    """Return the resident MiB, open descriptors and threads of a process."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return (
        int(status["VmRSS"].split()[0]) / 1024,
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        int(status["Threads"]),
    )


@pytest.mark.usefixtures("dbus_daemon")
def test_two_thousand_changes_leave_memory_and_descriptors_as_they_were() -> None:
    cluster, documents = Cluster(), list[str]()
    with running(cluster) as process:
        assert process.stdout
        assert process.stderr
        lines = process.stdout
        last = threading.Event()

        def read() -> None:
            for line in lines:
                document = json.loads(line)
                documents.append(document["time"])
                if any(row["service"] == "last" for row in document["ports"]):
                    last.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        deadline = time.monotonic() + PATIENCE
        while cluster.changes < CHANGES // 5:
            assert time.monotonic() < deadline, process.poll()
            time.sleep(0.02)
        early = taken(process.pid)
        assert last.wait(PATIENCE)
        time.sleep(1)
        late = taken(process.pid)
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(PATIENCE)
        reader.join(5)

    assert CHANGES == cluster.changes
    assert len(documents) > 5
    assert documents == sorted(documents)
    assert late[0] < 100, (early, late)
    assert late[0] - early[0] < 10, (early, late)
    # The difference is a connection of the watch, and one of a look at rootlesskit.
    assert abs(late[1] - early[1]) <= 2, (early, late)
    assert late[2] <= early[2] + 1, (early, late)
    print(f"{len(documents)} documents, {early} -> {late}")
