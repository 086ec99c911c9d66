"""Files that a real etcd and a real etcdctl write, as K3s's embedded etcd does."""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.fixtures import absent
from tests.patience import PATIENCE

LARGE = 200
"""Objects of a large namespace, so that the database has branch pages."""


@dataclass(frozen=True)
class EtcdData:
    """A snapshot by etcdctl, the directory of the stopped member, and the last revision."""

    snapshot: Path
    member: Path
    revision: int


@dataclass(frozen=True)
class RealEtcd:
    """An etcd that runs, with its address for clients."""

    address: str
    directory: Path

    def put(self, key: str, value: bytes) -> None:
        """Write a key."""
        self._call("kv/put", {"key": _encoded(key.encode()), "value": _encoded(value)})

    def delete(self, key: str) -> None:
        """Delete a key."""
        self._call("kv/deleterange", {"key": _encoded(key.encode())})

    def revision(self) -> int:
        """Return the last revision."""
        answer = self._call("kv/range", {"key": _encoded(b"x")})
        return int(answer["header"]["revision"])

    def control(self, *words: str) -> str:
        """Run etcdctl."""
        argv = ["etcdctl", f"--endpoints={self.address}", *words]
        environ = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(argv, capture_output=True, text=True, check=True, env=environ)
        return done.stdout

    def _call(self, path: str, body: Mapping[str, str]) -> dict[str, dict[str, str]]:
        data = json.dumps(body).encode()
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=30)
        with closing(connection):
            connection.request("POST", f"/v3/{path}", data)
            return dict(json.load(connection.getresponse()))


@contextmanager
def running(directory: Path) -> Iterator[RealEtcd]:
    """Run etcd with its data in `directory`."""
    client, peer = _free_ports()
    address, peer_address = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    argv = [
        "etcd",
        f"--data-dir={directory}",
        f"--listen-client-urls={address}",
        f"--advertise-client-urls={address}",
        f"--listen-peer-urls={peer_address}",
        f"--initial-advertise-peer-urls={peer_address}",
        f"--initial-cluster=default={peer_address}",
    ]
    with tempfile.TemporaryFile() as log, subprocess.Popen(argv, stderr=log, stdout=log) as process:
        try:
            etcd = RealEtcd(address, directory)
            _wait(etcd)
            yield etcd
        finally:
            process.terminate()
            process.wait(30)


@pytest.fixture(scope="session")
def etcd_data(tmp_path_factory: pytest.TempPathFactory) -> EtcdData:
    """Return files of a real etcd with objects that were changed and deleted."""
    if not (shutil.which("etcd") and shutil.which("etcdctl")):
        absent("etcd", "etcd or etcdctl is not installed")
    place = tmp_path_factory.mktemp("etcd")
    snapshot = place / "snapshot"
    with running(place / "member") as etcd:
        write_objects(etcd)
        revision = etcd.revision()
        etcd.control("snapshot", "save", str(snapshot))
    for log in (place / "member/member/wal").glob("*.wal"):
        # etcd has allocated 64 MB of zeros in advance, and reads a shorter file as well.
        os.truncate(log, len(log.read_bytes().rstrip(b"\0")) // 4096 * 4096 + 8192)
    return EtcdData(snapshot, place / "member", revision)


def write_objects(etcd: RealEtcd) -> None:
    """Write objects as Kubernetes names them."""
    for number in range(LARGE):
        etcd.put(f"/registry/configmaps/large/{number:04}", bytes(600))
    etcd.put("/registry/configmaps/default/first", b"old")
    etcd.put("/registry/configmaps/default/first", b"new")
    etcd.put("/registry/configmaps/default/gone", b"gone")
    etcd.delete("/registry/configmaps/default/gone")
    etcd.put("/registry/configmaps/default/large", bytes(20_000))
    volume = {"spec": {"hostPath": {"path": "/srv/data"}, "claimRef": {}}}
    etcd.put("/registry/persistentvolumes/pv-1", json.dumps(volume).encode())


def copy_member(data: EtcdData, target: Path) -> None:
    """Copy the files of the stopped member to `target`, a directory of K3s's etcd."""
    shutil.copytree(data.member, target)
    (target / "name").write_text("node-1")


def _wait(etcd: RealEtcd) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            etcd.revision()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
