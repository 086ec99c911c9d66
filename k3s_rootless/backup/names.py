"""The files of a cluster that belong to a backup, as paths below its data directory.

Sources: K3s v1.21 to v1.36 (pkg/server, pkg/daemons/control/deps, pkg/deploy, pkg/agent/config,
pkg/agent/templates, pkg/nodepassword).
"""

from __future__ import annotations

import re
from datetime import datetime

from k3s_rootless.k3s import layout

ARCHIVE_SUFFIX = ".tar.gz"
ARCHIVE_PREFIX = "k3s-rootless-backup-"
_SCHEDULED = "-scheduled"
ARCHIVES = rf"{ARCHIVE_PREFIX}\w{{16}}(?:{_SCHEDULED})?\.tar\.gz"
"""The names of archives in the directory of backups, as a regular expression."""
_OF_SCHEDULE = re.compile(rf"{ARCHIVE_PREFIX}\d{{8}}T\d{{6}}Z{_SCHEDULED}\.tar\.gz", re.ASCII)

DATABASE = "state.db"
DATABASE_INDEX = "state.db-shm"
DATABASE_FILES = (DATABASE, "state.db-wal", DATABASE_INDEX)
"""The files of the datastore in `DATABASE_DIRECTORY`; a log belongs to its database."""
DATABASE_DIRECTORY = "server/db"

ETCD_SNAPSHOT = "server/db/etcd.snapshot"
"""The name in an archive of a snapshot of etcd, which K3s turns into the directory of etcd."""

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

DROP_INS = frozenset(("50-k3s-rootless-config.conf", "50-k3s-rootless-environment.conf"))
"""The drop-ins that a restore writes again, from their settings. Others could run any program."""
GUARD = "00-k3s-rootless-transaction.conf"
"""The drop-in that prevents a start while a transaction has replaced only some of the files."""


def archive(created: datetime, *, scheduled: bool = False) -> str:
    """Return the name of a new archive; that of a scheduled backup shows that it is one."""
    kind = ""
    if scheduled:
        kind = _SCHEDULED
    return f"{ARCHIVE_PREFIX}{created.strftime('%Y%m%dT%H%M%SZ')}{kind}{ARCHIVE_SUFFIX}"


def is_scheduled(name: str) -> bool:
    """Return whether this is the name of a scheduled backup.

    A backup that the user renames is not deleted later.
    """
    return _OF_SCHEDULE.fullmatch(name) is not None
