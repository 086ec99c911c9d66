"""Which entries of an archive contain the datastore."""

from __future__ import annotations

from k3s_rootless.backup import names
from k3s_rootless.backup.facts import Datastore, Manifest, Root
from k3s_rootless.k3s import layout

_DATABASE = f"{Root.DATA.value}/{names.DATABASE_DIRECTORY}"
SQLITE = f"{_DATABASE}/{names.DATABASE}"
SNAPSHOT = f"{Root.DATA.value}/{names.ETCD_SNAPSHOT}"
MEMBER = f"{Root.DATA.value}/{layout.ETCD_DATABASE}"
"""The database of an etcd that did not run."""
CHECKED = frozenset((*(f"{_DATABASE}/{name}" for name in names.DATABASE_FILES), SNAPSHOT, MEMBER))
"""The entries that a check of the datastore reads."""
_OBJECTS = {Datastore.SQLITE: (SQLITE,), Datastore.ETCD: (SNAPSHOT, MEMBER)}


def has_datastore(manifest: Manifest) -> bool:
    """Return whether an archive contains the objects of the cluster."""
    return any(one.name in _OBJECTS.get(manifest.datastore, ()) for one in manifest.entries)


def has_snapshot(manifest: Manifest) -> bool:
    """Return whether an archive contains a snapshot of etcd, from which K3s writes its files."""
    return any(one.name == SNAPSHOT for one in manifest.entries)
