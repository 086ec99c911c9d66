"""Settings that a cluster keeps from its first start.

K3s exits if some of these settings change.
"""

from __future__ import annotations

import hashlib
import ipaddress
import sqlite3
from pathlib import Path

from . import kine, rotation
from .flags import Flags
from .journal import Fatal, klog
from .release import Release

_ASKED = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"

_BOOTSTRAP = "/bootstrap/"


def uses_etcd(data: Path) -> bool:
    """Return whether etcd has run with this data directory (K3s ETCD.IsInitialized)."""
    return (data / "server" / "db" / "etcd" / "member" / "wal").is_dir()


def database(data: Path) -> Path:
    """Return the path of the database of kine.

    With etcd, it is a file of the stand-in itself, for what K3s keeps in etcd.
    """
    if uses_etcd(data):
        return data / "server" / "standin.db"
    return data / "server" / "db" / "state.db"


def token_of(text: str) -> str:
    """Return the password of a token (K3s pkg/clientaccess); a bare token is the password."""
    return text.partition("::")[2].partition(":")[2] if text.startswith("K10") else text


def given_token(flags: Flags) -> str:
    """Return the token of the flags, or an empty text; a token file takes precedence."""
    file = flags.text("token-file")
    return Path(file).read_text().strip() if file else flags.text("token")


def bootstrap_key(password: str) -> str:
    """Return the key of the certificates in the datastore (K3s pkg/cluster/encrypt.go)."""
    return _BOOTSTRAP + hashlib.sha256(password.encode()).hexdigest()[:12]


def check_token(flags: Flags, release: Release) -> None:
    """Raise Fatal if the token differs from the datastore's (K3s pkg/cluster/storage.go)."""
    own = flags.data_dir / "server" / "token"
    if not database(flags.data_dir).exists() or not own.exists():
        return
    given = given_token(flags) or own.read_text().strip()
    try:
        known = kine.names(database(flags.data_dir), _BOOTSTRAP)
    except sqlite3.DatabaseError:
        return
    if known and bootstrap_key(token_of(given)) not in known:
        why = "bootstrap data already found and encrypted with different token"
        raise release.last_message(f"starting kubernetes: preparing server: {why}")


def refusal(flags: Flags, release: Release) -> Fatal | None:
    """Return the error of a controller manager if its port or pod network has changed."""
    port = rotation.named_port(flags.data_dir)
    if port != flags.inner_port:
        where = f"127.0.0.1:{port}"
        return release.component_died(
            "controller-manager exited: unable to load configmap based"
            " request-header-client-ca-file: "
            f'Get "https://{where}{_ASKED}": dial tcp {where}: connect: connection refused'
        )
    cluster = flags.text("cluster-cidr", "10.42.0.0/16")
    whole = ipaddress.ip_network(cluster)
    for name, network in kine.node_networks(database(flags.data_dir)).items():
        if not ipaddress.ip_network(network).subnet_of(whole):  # type: ignore[arg-type]
            why = f"cidr {network} is out the range of cluster cidr {cluster}"
            why = f"failed to mark cidr[{network}] at idx [0] as occupied for node: {name}: {why}"
            return Fatal(
                klog("E", "controllermanager.go:237", f'"Error starting controllers" err="{why}"'),
                raw=True,
            )
    return None


def node_network(flags: Flags, name: str) -> str:
    """Return the pod network of a node: the kept one, or the first of the cluster."""
    store = database(flags.data_dir)
    first = next(
        ipaddress.ip_network(flags.text("cluster-cidr", "10.42.0.0/16")).subnets(new_prefix=24)
    )
    kine.keep_node(store, name, str(first))
    return kine.node_networks(store)[name]


def keep_api_service(flags: Flags) -> None:
    """Keep the address of the Service `kubernetes`: the first of the cluster."""
    network = ipaddress.ip_network(flags.text("service-cidr", "10.43.0.0/16"))
    kine.keep_api_service(database(flags.data_dir), str(network[1]))
