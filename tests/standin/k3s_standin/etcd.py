"""Embedded etcd: the real programs etcd and etcdctl, with K3s's files, certificates and words.

Source: K3s pkg/etcd (etcd.go, snapshot.go, snapshot_handler.go), and what v1.36.3 wrote and logged.
etcd holds only what clients write: the stand-in itself keeps its settings in a file of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import trustme

from . import kept
from .certificates import write_private
from .flags import Flags
from .journal import Fatal, Journal
from .objects import status
from .resources import Refused

DISABLED = "etcd datastore disabled"
_CLIENT = "https://127.0.0.1:2379"
_PEER = "https://127.0.0.1:2380"
_SECONDS = 60.0
_RESET = (
    "Managed etcd cluster membership has been reset, restart without --cluster-reset flag now."
    " Backup and delete ${datadir}/server/db on each peer etcd server and rejoin the nodes"
)


def directory(data: Path) -> Path:
    """Return the directory of etcd."""
    return data / "server" / "db" / "etcd"


class Etcd:
    """The etcd of a server; without `--cluster-init` and without its files, it does not run."""

    def __init__(self, flags: Flags, node: str, journal: Journal) -> None:
        self._data = flags.data_dir
        self._node = node
        self._journal = journal
        self._runs = kept.uses_etcd(flags.data_dir) or flags.switch("cluster-init")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start etcd, and convert an SQLite datastore; return when etcd answers."""
        if not self._runs:
            return
        new = not kept.uses_etcd(self._data)
        self._issue_certificates()
        name = self._name()
        kind = "new cluster, cluster-reset=false" if new else "existing cluster member"
        self._journal.info(f"Starting etcd for {kind}")
        tls = self._data / "server" / "tls" / "etcd"
        argv = [
            "etcd",
            f"--name={name}",
            f"--data-dir={directory(self._data)}",
            f"--listen-client-urls={_CLIENT}",
            f"--advertise-client-urls={_CLIENT}",
            f"--listen-peer-urls={_PEER}",
            f"--initial-advertise-peer-urls={_PEER}",
            f"--initial-cluster={name}={_PEER}",
            f"--cert-file={tls}/server-client.crt",
            f"--key-file={tls}/server-client.key",
            f"--trusted-ca-file={tls}/server-ca.crt",
            "--client-cert-auth",
            "--heartbeat-interval=10",
            "--election-timeout=100",
            f"--peer-cert-file={tls}/server-client.crt",
            f"--peer-key-file={tls}/server-client.key",
            f"--peer-trusted-ca-file={tls}/server-ca.crt",
        ]
        self._process = subprocess.Popen(argv, stdout=sys.stderr, stderr=sys.stderr)
        self._wait()
        if new:
            self._convert()

    def stop(self) -> None:
        """Stop etcd."""
        if self._process is not None:
            self._journal.info("Stopping etcd server...")
            self._process.terminate()
            self._process.wait()

    def reset(self, snapshot: str) -> None:
        """Write etcd from a snapshot, and exit (K3s ETCD.Reset and ETCD.Restore)."""
        own = directory(self._data)
        if not Path(snapshot).exists():
            raise Fatal(f"Error: etcd: snapshot path does not exist: {snapshot}")
        name = self._name()
        old = own.with_name(f"etcd-old-{int(time.time())}")
        own.rename(old)
        self._journal.info(f"Pre-restore etcd database moved to {old}")
        arguments = [
            f"--name={name}",
            f"--data-dir={own}",
            f"--initial-cluster={name}={_PEER}",
            f"--initial-advertise-peer-urls={_PEER}",
        ]
        done = self._control("snapshot", "restore", snapshot, *arguments)
        if done.returncode:
            raise Fatal(f"Error: {done.stderr.strip().splitlines()[-1]}")
        (own / "name").write_text(name)
        self._journal.info("Starting etcd for new cluster, cluster-reset=true")
        tls = self._data / "server" / "tls"
        tls.with_name(f"tls-{int(time.time())}").mkdir()
        (own.parent / "reset-flag").touch(0o600)
        self._journal.error(f'Shutdown request received: "{_RESET}"')

    def answer(self, body: bytes) -> dict[str, Any]:
        """Answer a request for snapshots (K3s snapshotHandler)."""
        request = json.loads(body)
        if self._process is None:
            raise Refused(status(400, "BadRequest", DISABLED))
        if request["operation"] != "save":
            return {"items": []}
        place = request.get("dir") or str(self._data / "server/db/snapshots")
        if not Path(place).is_dir():
            raise Refused(status(500, "InternalError", f"stat {place}: no such file or directory"))
        name = f"{request['name'][0]}-{self._node}-{int(time.time())}"
        self._journal.info(f"Saving etcd snapshot to {place}/{name}")
        done = self._control("snapshot", "save", f"{place}/{name}")
        if done.returncode:
            raise Refused(status(500, "InternalError", done.stderr.strip()))
        return {"created": [name]}

    def _name(self) -> str:
        file = directory(self._data) / "name"
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            file.write_text(f"{self._node}-{os.urandom(4).hex()}")
        return file.read_text()

    def _issue_certificates(self) -> None:
        tls = self._data / "server" / "tls" / "etcd"
        if (tls / "client.crt").exists():
            return
        authority = trustme.CA(organization_name="etcd-server-ca")
        write_private(tls / "server-ca.crt", authority.cert_pem.bytes())
        write_private(tls / "server-ca.key", authority.private_key_pem.bytes())
        for name in ("server-client", "client"):
            leaf = authority.issue_cert("127.0.0.1", "localhost", common_name=f"etcd-{name}")
            write_private(tls / f"{name}.crt", leaf.cert_chain_pems[0].bytes())
            write_private(tls / f"{name}.key", leaf.private_key_pem.bytes())

    def _wait(self) -> None:
        deadline = time.monotonic() + _SECONDS
        while self._control("endpoint", "health", "--command-timeout=300ms").returncode:
            if time.monotonic() > deadline:
                raise Fatal("Error: etcd does not answer")
        self._journal.info("Connected to etcd v3.6.14 - datastore using 16384 of 20480 bytes")

    def _convert(self) -> None:
        database = self._data / "server" / "db" / "state.db"
        if database.exists():
            self._journal.info("Migrating content from sqlite to etcd")
            database.rename(database.with_name("state.db.migrated"))

    def _control(self, *words: str) -> subprocess.CompletedProcess[str]:
        tls = self._data / "server" / "tls" / "etcd"
        argv = ["etcdctl", *words]
        if words[1] != "restore":
            argv += [
                f"--endpoints={_CLIENT}",
                f"--cacert={tls}/server-ca.crt",
                f"--cert={tls}/client.crt",
                f"--key={tls}/client.key",
            ]
        environ = {**os.environ, "ETCDCTL_API": "3"}
        return subprocess.run(argv, capture_output=True, text=True, check=False, env=environ)
