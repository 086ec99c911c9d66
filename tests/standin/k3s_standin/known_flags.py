"""The flags that `k3s server` knows (K3s pkg/cli/cmds/server.go, agent.go)."""

from __future__ import annotations

# fmt: off
SWITCHES = frozenset(
    (
        "rootless", "disable-agent", "disable-apiserver", "disable-controller-manager", "disable-scheduler",
        "disable-etcd", "disable-kube-proxy", "disable-network-policy", "disable-cloud-controller",
        "disable-helm-controller", "cluster-init", "cluster-reset", "debug", "alsologtostderr", "docker",
        "prefer-bundled-bin", "protect-kernel-defaults", "selinux", "secrets-encryption", "etcd-expose-metrics",
        "etcd-disable-snapshots", "embedded-registry", "enable-pprof", "flannel-external-ip", "flannel-ipv6-masq",
        "multi-cluster-cidr", "tls-san-security", "disable-default-registry-endpoint", "kine-tls", "supervisor-metrics",
        "servicelb-enabled", "etcd-s3", "help",
    )
)
"""Flags without a value."""

VALUES = frozenset(
    (
        "config", "data-dir", "write-kubeconfig", "write-kubeconfig-mode", "write-kubeconfig-group",
        "write-kubeconfig-name", "https-listen-port", "bind-address", "advertise-address", "advertise-port", "tls-san",
        "cluster-cidr", "service-cidr", "service-node-port-range", "cluster-dns", "cluster-domain", "flannel-backend",
        "flannel-iface", "flannel-conf", "flannel-cni-conf", "egress-selector-mode", "servicelb-namespace", "token",
        "token-file", "agent-token", "agent-token-file", "server", "cluster-reset-restore-path", "kube-apiserver-arg",
        "etcd-arg", "kube-controller-manager-arg", "kube-scheduler-arg", "kube-cloud-controller-manager-arg",
        "kubelet-arg", "kube-proxy-arg", "datastore-endpoint", "datastore-cafile", "datastore-certfile",
        "datastore-keyfile", "etcd-snapshot-name", "etcd-snapshot-schedule-cron", "etcd-snapshot-retention",
        "etcd-snapshot-dir", "default-local-storage-path", "disable", "node-name", "with-node-id", "node-label",
        "node-taint", "node-ip", "node-external-ip", "node-internal-dns", "node-external-dns", "resolv-conf",
        "snapshotter", "container-runtime-endpoint", "image-service-endpoint", "default-runtime", "pause-image",
        "private-registry", "system-default-registry", "airgap-extra-registry", "image-credential-provider-bin-dir",
        "image-credential-provider-config", "vpn-auth", "vpn-auth-file", "lb-server-port",
        "secrets-encryption-provider", "helm-job-image", "enable-multi-cluster-cidr", "vmodule", "log",
        "alsologtostderr-file", "v", "nonroot-devices", "kubelet-certificate-authority", "cloud-provider-name",
        "bootstrap-token",
    )
)
"""Flags that take one."""
# fmt: on

SHORT = {
    "c": "config",
    "d": "data-dir",
    "o": "write-kubeconfig",
    "t": "token",
    "l": "log",
    "h": "help",
    "s": "server",
}
"""Short names."""
