"""Credentials for the API server: those of the kubeconfig, or else K3s's own.

K3s writes the kubeconfig at each start, and users move or rename it (`~/.kube/config`). The same
administrator's certificate is in the data directory: `server/tls/client-admin.{crt,key}`, with
`server-ca.crt` beside it (K3s pkg/daemons/control/deps, v1.21 to v1.36). K3s's own kubeconfig in
that directory, `server/cred/admin.kubeconfig`, names a port that is not forwarded to the host. So
the address here is 127.0.0.1 with the port of the API server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.cluster import own_file
from k3s_rootless.cluster.facts import Credentials
from k3s_rootless.cluster.kubeconfig import connection
from k3s_rootless.cluster.kubeconfig import read as kubeconfig
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from k3s_rootless.rest import TlsPeer

RESTART = kubeconfig.RESTART
"""The hint if no credentials can be used."""
_LARGEST = 64 * 1024
"""The size limit of one PEM file, in bytes.

PEM files of K3s have 1 to 3 KiB. A chain of the user's own authorities is larger.
"""


def peer(path: Path, data: Path, port: int, *, uid: int, started: datetime | None) -> TlsPeer:
    """Return the API server, verified by the authority that the cluster's credentials name.

    If the start of K3s at `started` wrote the kubeconfig at `path`, the kubeconfig is used.
    Otherwise the credentials in the data directory are used. Raises RootlessError that names both.
    """
    try:
        return by_kubeconfig(path, uid=uid, started=started)
    except RootlessError as error:
        unusable = error
    try:
        return by_data_directory(data, port, uid=uid)
    except RootlessError as error:
        message = f"{unusable.message}; {error.message}"
        raise RootlessError(message, hint=unusable.hint or RESTART) from error


def by_kubeconfig(path: Path, *, uid: int, started: datetime | None) -> TlsPeer:
    """Return the API server by the kubeconfig of this start. Raises RootlessError."""
    found = kubeconfig.load(path, uid=uid)
    if found.is_older_than(started):
        raise RootlessError(f"{path} is older than this start of K3s", hint=RESTART)
    return connection.peer(found)


def by_data_directory(data: Path, port: int, *, uid: int) -> TlsPeer:
    """Return the API server by K3s's own credentials in the data directory.

    Raises RootlessError.
    """
    return connection.peer(credentials(data, port, uid=uid))


def credentials(data: Path, port: int, *, uid: int) -> Credentials:
    """Read the administrator's credentials that K3s keeps in its data directory.

    `port` is the port of the API server. Raises RootlessError.
    """
    directory = data / layout.TLS

    def pem(name: str) -> bytes:
        what = "K3s's own credential"
        hints = {"missing": RESTART, "damaged": RESTART}
        return own_file.read(directory / name, uid, what=what, largest=_LARGEST, **hints)[0]

    return Credentials(
        path=directory,
        host="127.0.0.1",
        port=port,
        authority=pem(layout.SERVER_AUTHORITY),
        certificate=pem(layout.ADMIN_CERTIFICATE),
        key=pem(layout.ADMIN_KEY),
    )
