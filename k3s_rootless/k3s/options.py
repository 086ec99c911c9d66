"""The flags of `k3s server` that a user can set in rootless mode, and those that cannot work there.

The rules for the values come from K3s and the kubelet (K3s pkg/cli/cmds/server.go and agent.go,
pkg/cli/cmds/const_linux.go; Kubernetes pkg/kubelet/apis/well_known_labels.go), v1.21 to v1.37.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from k3s_rootless.k3s import features, layout
from k3s_rootless.k3s.version import Version
from k3s_rootless.linux.facts import LONGEST_SOCKET_PATH
from k3s_rootless.rootlesskit.names import READY_PIPE

COMPONENTS = ("coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes")
DATA_DIRECTORY_HINT = "name a directory of your own, such as ~/k3s-data"
_KUBERNETES = ("kubernetes.io", "k8s.io")
_OWN_LABELS = frozenset(
    (
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    )
)
_OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?", re.ASCII)
_PREFIX = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*", re.ASCII
)
_COMPONENT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.ASCII)
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))
_COPIED_UP = ("/etc", "/run", "/var/run", "/var/lib", "/proc", "/sys", "/dev")
_TAKEN = {
    6444: "K3s's own load balancer",
    **dict.fromkeys(range(10248, 10260), "the kubelet and its neighbours"),
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
        raise ValueError(f"K3s has {', '.join(known)}")
    since = known[text]
    if since is not None and version is not None and not since.holds(version):
        raise ValueError(
            f"K3s {version} does not have it; it came with {' and '.join(map(str, since.firsts))}"
        )
    return text


def _bundled(text: str, version: Version | None) -> str:
    if version is not None and not features.PREFER_BUNDLED_BIN.holds(version):
        raise ValueError(f"K3s {version} does not know --prefer-bundled-bin; v1.26 does")
    return _switch(text, version)


def _switch(text: str, _: Version | None) -> str:
    if text in _TRUE:
        return "true"
    if text in _FALSE:
        return "false"
    raise ValueError("it is true or false")


def _port(text: str, _: Version | None) -> str:
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise ValueError("a port is a number from 1 to 65535")
    listener = _TAKEN.get(int(text))
    if listener:
        raise ValueError(f"{listener} listens on that port inside")
    return str(int(text))


def _label(text: str, _: Version | None) -> str:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError("a label is KEY=VALUE")
    _require_key(key)
    if value and not _NAME.fullmatch(value):
        raise ValueError("the value of a label has at most 63 letters, digits, `-`, `_` and `.`")
    prefix = key.rpartition("/")[0]
    allowed = key in _OWN_LABELS or _in_domain(prefix, _OWN_PREFIXES)
    if _in_domain(prefix, _KUBERNETES) and not allowed:
        raise ValueError(
            f"the kubelet may not set labels below `{prefix}`, and K3s would not start"
        )
    return text


def _in_domain(prefix: str, domains: tuple[str, ...]) -> bool:
    return any(prefix == one or prefix.endswith(f".{one}") for one in domains)


def _taint(text: str, _: Version | None) -> str:
    rest, colon, effect = text.rpartition(":")
    if not colon or effect not in _EFFECTS:
        raise ValueError(f"a taint is KEY=VALUE:EFFECT, with one of {', '.join(_EFFECTS)}")
    key, _equals, value = rest.partition("=")
    _require_key(key)
    if value and not _NAME.fullmatch(value):
        raise ValueError("the value of a taint has at most 63 letters, digits, `-`, `_` and `.`")
    return text


def _require_key(key: str) -> None:
    prefix, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not _PREFIX.fullmatch(prefix)):
        raise ValueError(
            "its key is no Kubernetes name: [PREFIX/]NAME, at most 63 letters, digits, `-`, `_`"
            " and `.`"
        )


def _component(text: str, _: Version | None) -> str:
    if not _COMPONENT.fullmatch(text):
        raise ValueError(f"it is the name of a component, such as {', '.join(COMPONENTS)}")
    return text


def _directory(text: str, _: Version | None) -> str:
    if not text.startswith("/"):
        raise ValueError(f"it is no absolute path; {DATA_DIRECTORY_HINT}")
    if not text.isprintable() or set(text) & set("\\\"'$`"):
        raise ValueError(
            "neither K3s nor systemd take quotes, backslashes, `$` or unprintable characters there"
        )
    parts = [part for part in text.split("/") if part not in {"", "."}]
    if ".." in parts or not parts:
        raise ValueError(f"it is no directory of its own; {DATA_DIRECTORY_HINT}")
    path = "/" + "/".join(parts)
    _require_kept(path)
    if len(path.encode("utf-8", "surrogateescape")) > _LONGEST_DATA:
        raise ValueError(
            f"it is longer than {_LONGEST_DATA} bytes, and the sockets below it would have no valid"
            " path"
        )
    return path


def _require_kept(path: str) -> None:
    for covered in _COPIED_UP:
        if f"{path}/".startswith(f"{covered}/"):
            raise ValueError(
                f"rootless K3s puts a temporary file system over {covered}, and would lose its data"
                " at each stop"
            )


_AT_REGISTRATION = (
    "K3s sets it when its node registers for the first time; a node that is there keeps what it has"
)
OPTIONS = {
    option.name: option
    for option in (
        Option(
            "snapshotter", "how containerd stacks image layers", _snapshotter, default="overlayfs"
        ),
        Option(
            "node-label", "labels of the node, KEY=VALUE", _label, many=True, note=_AT_REGISTRATION
        ),
        Option(
            "node-taint",
            "taints of the node, KEY=VALUE:EFFECT",
            _taint,
            many=True,
            note=_AT_REGISTRATION,
        ),
        Option("disable", "packaged components not to deploy", _component, many=True),
        Option(
            "https-listen-port",
            "port of the API server, inside and on the host",
            _port,
            default="6443",
        ),
        Option(
            "cluster-init",
            "keep the cluster in etcd and not in SQLite",
            _switch,
            default="false",
            note="K3s moves its data to etcd once, and there is no way back",
        ),
        Option(
            "prefer-bundled-bin",
            "K3s's own iptables and the like before the host's",
            _bundled,
            default="false",
        ),
        Option(
            "selinux",
            "SELinux in containerd",
            _switch,
            default="false",
            note="K3s's policy does not know a data directory in a home directory",
        ),
        Option(
            "data-dir",
            "where K3s keeps its data",
            _directory,
            short="d",
            note="K3s begins anew there; what it has stays where it is",
        ),
    )
}

REFUSED = {
    "rootless": "the unit sets it; without it K3s needs root",
    "disable-agent": (
        "without an agent K3s makes no namespace and no forwards: it is rootless no more"
    ),
    "docker": "dockerd and the kubelet would be in different namespaces",
    "container-runtime-endpoint": "that runtime and the kubelet would be in different namespaces",
    "image-service-endpoint": "that service and the kubelet would be in different namespaces",
    "server": (
        "several nodes are not supported: each would have the address 10.41.0.100 (K3s #6488)"
    ),
    "node-ip": "the addresses of the host do not exist inside; there is tap0 alone",
    "bind-address": (
        "the forward of the API's port leads to 127.0.0.1 inside, and would reach nothing"
    ),
    "flannel-iface": "the interfaces of the host do not exist inside; there is tap0 alone",
    "vpn-auth": "the interfaces of the host do not exist inside; there is tap0 alone",
    "vpn-auth-file": "the interfaces of the host do not exist inside; there is tap0 alone",
    "kube-proxy-arg": (
        "its conntrack settings are ignored in rootless mode, and the rest is for K3s's own config"
        " file"
    ),
    "kubelet-arg": (
        "root-dir and the feature gate KubeletInUserNamespace are forced, and the rest is for K3s's"
        " own config file"
    ),
    "token": (
        "everybody on this host can read a unit's command line; K3s has `--token-file`, in its own"
        " config file"
    ),
    "agent-token": "everybody on this host can read a unit's command line, and no agent can join",
    "datastore-endpoint": (
        "it may hold a password, and everybody on this host can read a unit's command line"
    ),
}
"""Flags that K3s ignores, overrides or fails with in rootless mode, with the reason.

They also include flags with secrets, which must not be in a command line.
"""
