"""The flags of `k3s server`: the type of each value, its alias, and its environment variable.

Read from K3s's own source (pkg/cli/cmds, v1.21.4 to v1.36.3), with the release lines that have each
flag. If a later patch release of a line introduced a flag, the flag counts for the whole line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from k3s_rootless.k3s.version import Version

COMMAND = "server"


class Kind(Enum):
    """The type of a flag's value.

    A list keeps all of its values; for the other types, the last value counts.
    """

    TEXT = "text"
    NUMBER = "number"
    SWITCH = "switch"
    DURATION = "duration"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag.

    `first` and `last` are the release lines that have it; None means every line from v1.21 on.
    """

    name: str
    kind: Kind = Kind.TEXT
    alias: str = ""
    variable: str = ""
    default: str = ""
    first: tuple[int, int] | None = None
    last: tuple[int, int] | None = None

    def known_to(self, version: Version | None) -> bool:
        """Return whether this release has the flag.

        Without a release, return whether the newest known line has it.
        """
        if version is None:
            return self.last is None
        after_first = self.first is None or self.first <= version.line
        return after_first and (self.last is None or version.line <= self.last)


FLAGS = {
    flag.name: flag
    for flag in (
        Flag("advertise-address"),
        Flag("advertise-port", Kind.NUMBER),
        Flag("agent-token", variable="K3S_AGENT_TOKEN"),
        Flag("agent-token-file", variable="K3S_AGENT_TOKEN_FILE"),
        Flag("airgap-extra-registry", Kind.LIST),
        Flag("alsologtostderr", Kind.SWITCH),
        Flag("apiserver-bind-address", variable="K3S_APISERVER_BIND_ADDRESS", first=(1, 29)),
        Flag("apiserver-port", Kind.NUMBER, variable="K3S_APISERVER_PORT", first=(1, 29)),
        Flag("bind-address"),
        Flag("cluster-cidr", Kind.LIST, default="10.42.0.0/16"),
        Flag("cluster-dns", Kind.LIST, default="10.43.0.10"),
        Flag("cluster-domain", default="cluster.local"),
        Flag("cluster-init", Kind.SWITCH, variable="K3S_CLUSTER_INIT"),
        Flag("cluster-reset", Kind.SWITCH, variable="K3S_CLUSTER_RESET"),
        Flag("cluster-reset-restore-path"),
        Flag("cluster-secret", variable="K3S_CLUSTER_SECRET", last=(1, 25)),
        Flag(
            "config",
            alias="c",
            variable="K3S_CONFIG_FILE",
            default="/etc/rancher/k3s/config.yaml",
        ),
        Flag("container-runtime-endpoint"),
        Flag("data-dir", alias="d", variable="K3S_DATA_DIR"),
        Flag("datastore-cafile", variable="K3S_DATASTORE_CAFILE"),
        Flag("datastore-certfile", variable="K3S_DATASTORE_CERTFILE"),
        Flag("datastore-endpoint", variable="K3S_DATASTORE_ENDPOINT"),
        Flag("datastore-keyfile", variable="K3S_DATASTORE_KEYFILE"),
        Flag("debug", Kind.SWITCH, variable="K3S_DEBUG"),
        Flag("default-local-storage-path"),
        Flag("default-runtime", first=(1, 26)),
        Flag("disable", Kind.LIST),
        Flag("disable-agent", Kind.SWITCH),
        Flag("disable-apiserver", Kind.SWITCH),
        Flag("disable-cloud-controller", Kind.SWITCH),
        Flag("disable-controller-manager", Kind.SWITCH),
        Flag("disable-default-registry-endpoint", Kind.SWITCH, first=(1, 26)),
        Flag("disable-etcd", Kind.SWITCH),
        Flag("disable-helm-controller", Kind.SWITCH),
        Flag("disable-kube-proxy", Kind.SWITCH),
        Flag("disable-network-policy", Kind.SWITCH),
        Flag("disable-scheduler", Kind.SWITCH),
        Flag("disable-selinux", Kind.SWITCH, default="true", last=(1, 25)),
        Flag("docker", Kind.SWITCH),
        Flag("egress-selector-mode", default="agent", first=(1, 24)),
        Flag("embedded-registry", Kind.SWITCH, first=(1, 26)),
        Flag("enable-pprof", Kind.SWITCH, first=(1, 24)),
        Flag("etcd-arg", Kind.LIST, first=(1, 22)),
        Flag("etcd-disable-snapshots", Kind.SWITCH),
        Flag("etcd-expose-metrics", Kind.SWITCH),
        Flag("etcd-s3", Kind.SWITCH),
        Flag("etcd-s3-access-key", variable="AWS_ACCESS_KEY_ID"),
        Flag("etcd-s3-bucket"),
        Flag("etcd-s3-bucket-lookup-type", first=(1, 32)),
        Flag("etcd-s3-config-secret", first=(1, 29)),
        Flag("etcd-s3-endpoint"),
        Flag("etcd-s3-endpoint-ca"),
        Flag("etcd-s3-folder"),
        Flag("etcd-s3-insecure", Kind.SWITCH, first=(1, 22)),
        Flag("etcd-s3-proxy", first=(1, 29)),
        Flag("etcd-s3-region"),
        Flag("etcd-s3-retention", Kind.NUMBER, first=(1, 32)),
        Flag("etcd-s3-secret-key", variable="AWS_SECRET_ACCESS_KEY"),
        Flag("etcd-s3-session-token", variable="AWS_SESSION_TOKEN", first=(1, 29)),
        Flag("etcd-s3-skip-ssl-verify", Kind.SWITCH),
        Flag("etcd-s3-timeout", Kind.DURATION, first=(1, 22)),
        Flag("etcd-snapshot-compress", Kind.SWITCH, first=(1, 23)),
        Flag("etcd-snapshot-dir"),
        Flag("etcd-snapshot-name"),
        Flag("etcd-snapshot-reconcile-interval", Kind.DURATION, first=(1, 29)),
        Flag("etcd-snapshot-retention", Kind.NUMBER),
        Flag("etcd-snapshot-schedule-cron"),
        Flag("flannel-backend", default="vxlan"),
        Flag("flannel-cni-conf", first=(1, 24)),
        Flag("flannel-conf"),
        Flag("flannel-external-ip", Kind.SWITCH, first=(1, 25)),
        Flag("flannel-iface"),
        Flag("flannel-ipv6-masq", Kind.SWITCH, first=(1, 23)),
        Flag("helm-controller-arg", Kind.LIST, first=(1, 34)),
        Flag("helm-job-image", first=(1, 26)),
        Flag("https-listen-port", Kind.NUMBER, default="6443"),
        Flag("image-credential-provider-bin-dir"),
        Flag("image-credential-provider-config"),
        Flag("image-service-endpoint", first=(1, 26)),
        Flag("kine-tls", Kind.SWITCH, first=(1, 29)),
        Flag("kube-apiserver-arg", Kind.LIST),
        Flag("kube-cloud-controller-arg", Kind.LIST),
        Flag("kube-cloud-controller-manager-arg", Kind.LIST),
        Flag("kube-controller-arg", Kind.LIST),
        Flag("kube-controller-manager-arg", Kind.LIST),
        Flag("kube-proxy-arg", Kind.LIST),
        Flag("kube-scheduler-arg", Kind.LIST),
        Flag("kubelet-arg", Kind.LIST),
        Flag("lb-server-port", Kind.NUMBER, variable="K3S_LB_SERVER_PORT", default="6444"),
        Flag("log", alias="l"),
        Flag("multi-cluster-cidr", Kind.SWITCH, first=(1, 26), last=(1, 28)),
        Flag("no-deploy", Kind.LIST, last=(1, 25)),
        Flag("no-flannel", Kind.SWITCH, last=(1, 25)),
        Flag("node-external-dns", Kind.LIST, first=(1, 29)),
        Flag("node-external-ip", Kind.LIST),
        Flag("node-internal-dns", Kind.LIST, first=(1, 29)),
        Flag("node-ip", Kind.LIST, alias="i"),
        Flag("node-label", Kind.LIST),
        Flag("node-name", variable="K3S_NODE_NAME"),
        Flag("node-taint", Kind.LIST),
        Flag("nonroot-devices", Kind.SWITCH, first=(1, 29)),
        Flag("pause-image"),
        Flag("prefer-bundled-bin", Kind.SWITCH, first=(1, 26)),
        Flag("private-registry", default="/etc/rancher/k3s/registries.yaml"),
        Flag("protect-kernel-defaults", Kind.SWITCH),
        Flag("resolv-conf", variable="K3S_RESOLV_CONF"),
        Flag("rootless", Kind.SWITCH),
        Flag("secrets-encryption", Kind.SWITCH),
        Flag("secrets-encryption-provider", default="aescbc", first=(1, 32)),
        Flag("selinux", Kind.SWITCH, variable="K3S_SELINUX"),
        Flag("server", alias="s", variable="K3S_URL"),
        Flag("service-cidr", Kind.LIST, default="10.43.0.0/16"),
        Flag("service-node-port-range", default="30000-32767"),
        Flag("servicelb-namespace", default="kube-system", first=(1, 24)),
        Flag("snapshotter", default="overlayfs"),
        Flag("supervisor-metrics", Kind.SWITCH, first=(1, 29)),
        Flag("supervisor-port", Kind.NUMBER, variable="K3S_SUPERVISOR_PORT", first=(1, 29)),
        Flag("system-default-registry", variable="K3S_SYSTEM_DEFAULT_REGISTRY"),
        Flag("tls-san", Kind.LIST),
        Flag("tls-san-security", Kind.SWITCH, default="true", first=(1, 26)),
        Flag("token", alias="t", variable="K3S_TOKEN"),
        Flag("token-file", variable="K3S_TOKEN_FILE"),
        Flag("v", Kind.NUMBER),
        Flag("vmodule"),
        Flag("vpn-auth", variable="K3S_VPN_AUTH", first=(1, 26)),
        Flag("vpn-auth-file", variable="K3S_VPN_AUTH_FILE", first=(1, 26)),
        Flag("with-node-id", Kind.SWITCH),
        Flag("write-kubeconfig", alias="o", variable="K3S_KUBECONFIG_OUTPUT"),
        Flag("write-kubeconfig-group", variable="K3S_KUBECONFIG_GROUP", first=(1, 29)),
        Flag("write-kubeconfig-mode", variable="K3S_KUBECONFIG_MODE"),
        Flag(
            "write-kubeconfig-name",
            variable="K3S_KUBECONFIG_NAME",
            default="default",
            first=(1, 36),
        ),
    )
}
VARIABLES = tuple(flag.variable for flag in FLAGS.values() if flag.variable)
"""All environment variables that set flags."""
_ALIASES = {flag.alias: flag for flag in FLAGS.values() if flag.alias}


def named(name: str) -> Flag | None:
    """Return the flag with this name or alias; None for a name that K3s does not have."""
    return FLAGS.get(name) or _ALIASES.get(name)


def arguments(argv: Sequence[str]) -> Sequence[str]:
    """Return the arguments after the word `server`, or all arguments if `server` is missing."""
    return argv[argv.index(COMMAND) + 1 :] if COMMAND in argv else argv


def words(argv: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the name, without dashes, and the value of each flag of a command line, in order.

    The command line is read as Go's flag package reads it for K3s. One dash and two dashes mean the
    same, a switch takes its value only after `=`, and reading ends at the first word that is
    neither a flag nor a value. K3s does not start with an unknown flag; here, reading continues
    after it.
    """
    rest = list(arguments(argv))
    while rest:
        word = rest.pop(0)
        if len(word) < 2 or not word.startswith("-") or word == "--":
            return
        name, equals, value = word.removeprefix("-").removeprefix("-").partition("=")
        if not equals:
            value = _next_value(named(name), rest)
        yield name, value


def _next_value(flag: Flag | None, rest: list[str]) -> str:
    """Return the value of a flag without `=`; if it is the next word, remove that from `rest`."""
    if flag is not None and flag.kind is Kind.SWITCH:
        return "true"
    if not rest or (flag is None and rest[0].startswith("-")):
        return ""
    return rest.pop(0)
