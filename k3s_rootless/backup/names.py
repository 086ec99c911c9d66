"""The files of a cluster that belong to a backup, as paths below its data directory.

Sources: K3s v1.21 to v1.36 (pkg/server, pkg/daemons/control/deps, pkg/deploy, pkg/agent/config,
pkg/agent/templates, pkg/nodepassword).
"""

from __future__ import annotations

from k3s_rootless.k3s import layout

DATABASE = "state.db"
DATABASE_FILES = (DATABASE, "state.db-wal", "state.db-shm")
"""The files of the datastore in `DATABASE_DIRECTORY`; a log belongs to its database."""
DATABASE_DIRECTORY = "server/db"

TREES = (layout.TLS, layout.CREDENTIALS, layout.MANIFESTS, "etc/rancher")
"""Directories that belong to a backup as a whole."""
SINGLE = (layout.SERVER_TOKEN, layout.NODE_PASSWORD)
TEMPLATES = ("*.tmpl", "*.toml.d/*.toml")
"""The user's files for containerd; K3s generates the other files of that directory."""
PACKAGED = frozenset(
    (
        "ccm.yaml",
        "coredns.yaml",
        "local-storage.yaml",
        "metrics-server",
        "rolebindings.yaml",
        "runtimes.yaml",
        "traefik.yaml",
    )
)
"""Manifests that K3s writes at each start (K3s manifests/, v1.21 to v1.36)."""

GUARD = "00-k3s-rootless-restore.conf"
"""The drop-in that prevents a start while a restore has replaced only some of the files."""
RESET_GUARD = "00-k3s-rootless-reset.conf"
"""The drop-in that prevents a start while a reset has moved only some of the files."""
GUARDS = frozenset((GUARD, RESET_GUARD))
