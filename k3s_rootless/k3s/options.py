"""The flags of `k3s server` that a user can set in rootless mode, and those that cannot work there.

The rules for the values come from K3s and the kubelet (K3s pkg/cli/cmds/server.go and agent.go,
pkg/cli/cmds/const_linux.go), v1.21 to v1.37.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from k3s_rootless.k3s import encryption, features, host_name, layout, node_labels, runtimes
from k3s_rootless.k3s.version import Version
from k3s_rootless.linux.facts import LONGEST_SOCKET_PATH
from k3s_rootless.rootlesskit.names import READY_PIPE

COMPONENTS = ("coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes")
DATA_DIRECTORY_HINT = "use a directory of your own, such as ~/k3s-data"
_COMPONENT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_COPIED_UP = ("/etc", "/run", "/var/run", "/var/lib", "/proc", "/sys", "/dev")
_PORTS_IN_USE = {
    6444: "K3s's own load balancer",
    **dict.fromkeys(range(10248, 10260), "the kubelet or another Kubernetes component"),
}
_LONGEST_DATA = LONGEST_SOCKET_PATH - len(f"/{layout.ROOTLESS}/{READY_PIPE}")
"""Bytes; rootlesskit creates its sockets below the data directory."""

Read = Callable[[str, Version | None], str]


@dataclass(frozen=True, slots=True)
class Option:
    """One flag.

    `read` returns a value in K3s's spelling, or raises ValueError with the reason as the end of a
    sentence.
    """

    name: str
    what: str
    read: Read
    default: str = ""
    many: bool = False
    note: str = ""
    short: str = ""


def _snapshotter(text: str, version: Version | None) -> str:
    known = features.SNAPSHOTTERS
    if text not in known:
        raise ValueError(f"it must be one of {', '.join(known)}")
    since = known[text]
    if since is not None and version is not None and not since.holds(version):
        raise ValueError(
            f"K3s {version} does not have it; the first releases with it are {_releases(since)}"
        )
    return text


def _releases(since: features.Since) -> str:
    return ", ".join(map(str, since.firsts))


def _bundled(text: str, version: Version | None) -> str:
    since = features.PREFER_BUNDLED_BIN
    if version is not None and not since.holds(version):
        raise ValueError(
            f"K3s {version} does not have --prefer-bundled-bin; the first releases with it are"
            f" {_releases(since)}"
        )
    return _switch(text, version)


def _switch(text: str, _: Version | None) -> str:
    if text in _TRUE:
        return "true"
    if text in _FALSE:
        return "false"
    raise ValueError("it must be true or false")


def _port(text: str, _: Version | None) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError("it must be a port number from 1 to 65535")
    listener = _PORTS_IN_USE.get(int(text))
    if listener:
        raise ValueError(f"{listener} uses this port in the namespace of K3s")
    return str(int(text))


def _runtime(text: str, _: Version | None) -> str:
    if text not in runtimes.PROGRAMS:
        raise ValueError(f"it must be one of {', '.join(runtimes.PROGRAMS)}")
    return text


def _component(text: str, _: Version | None) -> str:
    if not _COMPONENT.fullmatch(text):
        raise ValueError(f"it is not a component name, such as {', '.join(COMPONENTS)}")
    return text


def _host(text: str, _: Version | None) -> str:
    if not host_name.is_host(text):
        raise ValueError("it is neither a host name nor an address")
    return text


def _log_file(text: str, _: Version | None) -> str:
    return _path(text, "use a file of your own, such as ~/.rancher/k3s/logs/k3s.log")


def _path(text: str, hint: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"it is not an absolute path; {hint}")
    if not text.isprintable() or set(text) & set("\\\"'$`"):
        raise ValueError(
            "K3s or systemd cannot use a path with quotes, backslashes, `$` or unprintable"
            " characters"
        )
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts or not parts:
        raise ValueError(f"it is `/` or contains `..`; {hint}")
    return "/" + "/".join(parts)


def _directory(text: str, _: Version | None) -> str:
    path = _path(text, DATA_DIRECTORY_HINT)
    _require_kept(path)
    if len(path.encode("utf-8", "surrogateescape")) > _LONGEST_DATA:
        raise ValueError(
            f"it is longer than {_LONGEST_DATA} bytes, so the paths of the sockets in it would be"
            " too long"
        )
    return path


def _require_kept(path: str) -> None:
    for covered in _COPIED_UP:
        if f"{path}/".startswith(f"{covered}/"):
            raise ValueError(
                f"rootless K3s mounts a temporary file system over {covered}, so its data would be"
                " lost at each stop"
            )


_AT_REGISTRATION = (
    "K3s sets it only when its node registers for the first time; an existing node does not change"
)
OPTIONS = {
    option.name: option
    for option in (
        Option(
            "snapshotter",
            "containerd snapshotter, which stacks image layers",
            _snapshotter,
            default="overlayfs",
            note=(
                "K3s unpacks all images again for another snapshotter, and keeps the earlier copies"
            ),
        ),
        Option(
            "node-label",
            "labels of the node, KEY=VALUE",
            node_labels.label,
            many=True,
            note=_AT_REGISTRATION,
        ),
        Option(
            "node-taint",
            "taints of the node, KEY=VALUE:EFFECT",
            node_labels.taint,
            many=True,
            note=_AT_REGISTRATION,
        ),
        Option("disable", "packaged components that K3s does not deploy", _component, many=True),
        Option(
            "https-listen-port",
            "port of the API server, in the namespace and on the host",
            _port,
            default="6443",
        ),
        Option(
            "tls-san",
            "further host names and addresses in the certificate of the API server",
            _host,
            many=True,
        ),
        Option(
            "cluster-init",
            "use etcd as the datastore instead of SQLite",
            _switch,
            default="false",
        ),
        Option(
            "secrets-encryption",
            "encrypt Secrets in the datastore",
            _switch,
            default="false",
            note=(
                "existing Secrets stay as they are; to encrypt them as well, use instead:"
                " k3s-rootless encryption enable"
            ),
        ),
        Option(
            "secrets-encryption-provider",
            "how Secrets are encrypted: aescbc or secretbox",
            encryption.provider,
            default="aescbc",
        ),
        Option(
            "prefer-bundled-bin",
            "use K3s's own iptables and other tools before those of the host",
            _bundled,
            default="false",
        ),
        Option(
            "default-runtime",
            "container runtime of pods without a RuntimeClass",
            _runtime,
            default="runc",
            note=(
                "K3s exits at its start if it does not find the program of the runtime in its PATH;"
                " `k3s-rootless check containerd` shows whether it does"
            ),
        ),
        Option(
            "selinux",
            "use SELinux in containerd",
            _switch,
            default="false",
            note="K3s's SELinux policy does not cover a data directory in a home directory",
        ),
        Option(
            "log",
            "file that K3s writes its log to, in place of the journal",
            _log_file,
            short="l",
        ),
        Option(
            "alsologtostderr",
            "with `log`, write the log to the journal, too",
            _switch,
            default="false",
        ),
        Option(
            "data-dir",
            "data directory of K3s",
            _directory,
            short="d",
            note="K3s does not move its data; in an empty directory, it starts a new cluster",
        ),
        Option(
            "disable-agent",
            "run the API server only: K3s has no node then, and runs no Pods",
            _switch,
            default="false",
            note=(
                "K3s creates no namespace and forwards no ports; its own ports are ports of the"
                " host"
            ),
        ),
    )
}

_ONLY_TAP = "do not exist in the namespace of K3s, which has only tap0"
_READABLE = "every user of this host can read the command line of a unit"
REFUSED = {
    "rootless": "the unit sets it, because K3s needs root without it",
    "docker": "dockerd and the kubelet would be in different namespaces",
    "container-runtime-endpoint": "that runtime and the kubelet would be in different namespaces",
    "image-service-endpoint": "that service and the kubelet would be in different namespaces",
    "server": (
        "several nodes are not supported: each node would have the address 10.41.0.100 (K3s #6488)"
    ),
    "node-ip": f"the addresses of the host {_ONLY_TAP}",
    "bind-address": (
        "K3s forwards the API port to 127.0.0.1 in its namespace, where the API server would not"
        " listen"
    ),
    "flannel-iface": f"the interfaces of the host {_ONLY_TAP}",
    "vpn-auth": f"the interfaces of the host {_ONLY_TAP}",
    "vpn-auth-file": f"the interfaces of the host {_ONLY_TAP}",
    "kube-proxy-arg": (
        "K3s ignores its conntrack settings in rootless mode; set other arguments in K3s's"
        " configuration file"
    ),
    "kubelet-arg": (
        "K3s always sets root-dir and the feature gate KubeletInUserNamespace in rootless mode; set"
        " other arguments in K3s's configuration file"
    ),
    "token": f"{_READABLE}; set `token-file` in K3s's configuration file instead",
    "agent-token": f"{_READABLE}, and no agent can join a rootless K3s",
    "datastore-endpoint": f"it can contain a password, and {_READABLE}",
}
"""Flags that K3s ignores, overrides or fails with in rootless mode, with the reason.

They also include flags with secrets, which must not be in a command line.
"""
