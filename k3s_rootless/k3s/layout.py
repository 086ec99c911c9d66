"""The paths of K3s's files below its data directory and below the home directory.

Source: K3s pkg/datadir, pkg/server, pkg/daemons/control/deps, pkg/agent/config, pkg/etcd and
cmd/k3s, v1.21 to v1.36.
"""

from __future__ import annotations

DATA = ".rancher/k3s"
KUBECONFIG = ".kube/k3s.yaml"
"""Below the home directory of a user who is not root."""

TOP = ("agent", "cni", "data", "etc", "kubelet", "logs", "rootless", "server", "storage")
"""Entries of the data directory that K3s creates in rootless mode (its pkg/rootless/mounts.go)."""

AGENT = "agent"
"""The files of the agent, the certificates of the kubelet among them."""
UNPACKED = "data"
"""K3s unpacks its files to `data/<SHA-256 of the content>` (cmd/k3s/main.go, extract)."""
UNPACKING_LOCK = "data/.lock"
"""The lock that K3s holds while it unpacks its files.

If a first start fails at this point, this is the only file that it leaves.
"""
ROOTLESS = "rootless"
"""The state directory of rootlesskit."""

SERVER_TOKEN = "server/token"  # noqa: S105 (a path)
NODE_TOKEN = "server/node-token"  # noqa: S105
AGENT_TOKEN = "server/agent-token"  # noqa: S105
DATASTORE = "server/db"
SQLITE = "server/db/state.db"
ETCD = "server/db/etcd"
ETCD_LOG = "server/db/etcd/member/wal"
"""If this directory exists, K3s uses etcd, whatever its settings are (pkg/cluster/managed.go)."""
ETCD_DATABASE = "server/db/etcd/member/snap/db"
ETCD_WAS_RESET = "server/db/reset-flag"
"""K3s writes this file when it resets etcd, and removes it once its node is ready (pkg/etcd)."""
KINE_SOCKET = "server/kine.sock"
MANIFESTS = "server/manifests"

TLS = "server/tls"
"""Certificates and keys of the server and of its clients."""
SERVER_AUTHORITY = "server-ca.crt"
ADMIN_CERTIFICATE = "client-admin.crt"
ADMIN_KEY = "client-admin.key"
"""In `TLS`."""

CREDENTIALS = "server/cred"
"""The credentials of K3s's own components: kubeconfigs, keys and passwords."""
IPSEC_KEY = "server/cred/ipsec.psk"
PASSWORDS = "server/cred/passwd"
ENCRYPTION = "server/cred/encryption-config.json"
ENCRYPTION_STATE = "server/cred/encryption-state.json"
"""The stage of the encryption for the next start, and a hash of its configuration."""

IMAGES = "agent/images"
"""Archives in this directory are imported at a start, and later as they appear."""
CONTAINERD = "agent/containerd"
"""The root of containerd (its documentation, docs/ops.md): one directory for each plugin."""
IMAGE_CONTENT = "io.containerd.content.v1.content"
SNAPSHOTTER = "io.containerd.snapshotter.v1."
"""In `CONTAINERD`; the name of a snapshotter follows."""
STORAGE = "storage"
"""The volumes that the local-path provisioner creates."""
LOGS = "logs"
"""/var/log of the containers, in K3s's mount namespace (pkg/rootless/mounts.go)."""
CONTAINERD_LOG = "agent/containerd/containerd.log"
CONTAINERD_CONFIGURATION = "agent/etc/containerd"
CRICTL_CONFIGURATION = "agent/etc/crictl.yaml"
CONTROLLER_KUBECONFIG = "agent/k3scontroller.kubeconfig"
KUBELET_KUBECONFIG = "agent/kubelet.kubeconfig"
NODE_PASSWORD = "agent/etc/rancher/node/password"  # noqa: S105
