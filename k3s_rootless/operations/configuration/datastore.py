"""What the setting `cluster-init` does to the datastore that a cluster has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from k3s_rootless.backup import files
from k3s_rootless.backup.facts import Datastore
from k3s_rootless.k3s import features, layout

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version

NAME = "cluster-init"


def consequences(settings: Settings, release: Version | None) -> Iterator[str]:
    """Yield what the next start does to the datastore, and what cannot be undone.

    `settings` are those of the next start.
    """
    found = files.datastore(settings.data, settings.value("datastore-endpoint").text)
    if settings.switch(NAME):
        yield from _set(found, settings, release)
    elif found is Datastore.ETCD:
        yield (
            f"K3s continues to use etcd, because {settings.data / layout.ETCD} exists; only the"
            " restore of a backup of SQLite, or a reset, ends this"
        )


def _set(found: Datastore, settings: Settings, release: Version | None) -> Iterator[str]:
    if found is Datastore.EXTERNAL:
        yield "without effect while datastore-endpoint is set"
    elif found is Datastore.ETCD:
        yield f"etcd in {settings.data / layout.ETCD} is already in use"
    elif found is Datastore.NONE:
        yield "the first start creates the cluster in etcd; nothing converts etcd to SQLite"
    else:
        yield from _converted(settings, release)


def _converted(settings: Settings, release: Version | None) -> Iterator[str]:
    database = settings.data / layout.SQLITE
    yield (
        f"the next start of K3s converts {database} to etcd; nothing converts it back, and what is"
        " written afterwards is only in etcd"
    )
    if release is not None and not features.CONVERTED_TO_ETCD.holds(release):
        yield (
            f"K3s {release} is not known to convert SQLite, and may start with an empty cluster:"
            " upgrade first"
        )
    yield (
        "to have a way back, create a backup without this setting: k3s-rootless config unset"
        f" {NAME} && k3s-rootless backup create && k3s-rootless config set {NAME} true"
    )
