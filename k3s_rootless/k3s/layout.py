"""Where K3s keeps what: paths below its data directory, and its default places below the home
directory (K3s pkg/datadir, pkg/server, pkg/daemons/control/deps, pkg/agent/config, pkg/etcd and
cmd/k3s, v1.21 to v1.36).
"""

from __future__ import annotations

DATA = ".rancher/k3s"
KUBECONFIG = ".kube/k3s.yaml"
"""Below the home directory of a user without root."""

TOP = ("agent", "cni", "data", "etc", "kubelet", "logs", "rootless", "server", "storage")
"""What K3s makes in its data directory in rootless mode (its pkg/rootless/mounts.go)."""

UNPACKED = "data"
"""K3s unpacks itself to `data/<SHA-256 of what it holds>` (cmd/k3s/main.go, extract)."""
UNPACKING_LOCK = "data/.lock"
"""The lock under which K3s unpacks itself: the only file that a first start leaves if it fails
there.
"""
ROOTLESS = "rootless"
"""The state directory of rootlesskit."""

SERVER_TOKEN = "server/token"  # noqa: S105 (a path)
NODE_TOKEN = "server/node-token"  # noqa: S105
AGENT_TOKEN = "server/agent-token"  # noqa: S105
SQLITE = "server/db/state.db"
ETCD = "server/db/etcd"
KINE_SOCKET = "server/kine.sock"
MANIFESTS = "server/manifests"

TLS = "server/tls"
"""Certificates and keys, of the server and of its clients."""
SERVER_AUTHORITY = "server-ca.crt"
ADMIN_CERTIFICATE = "client-admin.crt"
ADMIN_KEY = "client-admin.key"
"""In `TLS`."""

CREDENTIALS = "server/cred"
"""What K3s's own parts connect with: kubeconfigs, keys and passwords."""
IPSEC_KEY = "server/cred/ipsec.psk"
PASSWORDS = "server/cred/passwd"
ENCRYPTION = "server/cred/encryption-config.json"

CONTAINERD_LOG = "agent/containerd/containerd.log"
CONTAINERD_CONFIGURATION = "agent/etc/containerd"
CRICTL_CONFIGURATION = "agent/etc/crictl.yaml"
CONTROLLER_KUBECONFIG = "agent/k3scontroller.kubeconfig"
KUBELET_KUBECONFIG = "agent/kubelet.kubeconfig"
NODE_PASSWORD = "agent/etc/rancher/node/password"  # noqa: S105
