"""Known changes of K3s's datastore and of Traefik between two releases.

Each change is in all releases from the listed one of its line on, and in all later lines. Sources:
K3s release notes, docs.k3s.io/upgrades, K3s scripts/airgap/image-list.txt and go.mod.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from k3s_rootless.k3s.version import Version

_SQLITE = "SQLite"
_ETCD = "embedded etcd"


class Change(NamedTuple):
    """A change that the upgrade applies: its subject, and what it means for users."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class _Known:
    """`since` maps minor versions to the first patch with the change.

    `datastore` is the datastore that the change is about; empty if it does not matter.
    """

    change: Change
    since: Mapping[int, int]
    datastore: str = ""

    def applies(self, release: Version) -> bool:
        """Return whether a release has the change."""
        if release.minor in self.since:
            return release.patch >= self.since[release.minor]
        return release.minor > max(self.since)


_KNOWN = (
    _Known(
        Change(
            "Traefik",
            "Traefik 2 is replaced by Traefik 3: some options and rules have other names"
            " (https://doc.traefik.io/traefik/migrate/v2-to-v3/)",
        ),
        {32: 0},
    ),
    _Known(
        Change(
            "Traefik",
            "the chart of Traefik renames the provider kubernetesIngressNginx to"
            " kubernetesIngressNGINX: change your HelmChartConfig if it sets this provider",
        ),
        {33: 13, 35: 7, 36: 3},
    ),
    _Known(
        Change(
            "datastore",
            "the row with the last compaction gets another form, which earlier releases cannot"
            " read",
        ),
        {32: 13, 33: 9, 34: 5, 35: 1},
        _SQLITE,
    ),
    _Known(
        Change("datastore", "SQLite 3.53 and kine 0.17 replace earlier ones; nothing to do"),
        {37: 0},
        _SQLITE,
    ),
    _Known(
        Change(
            "datastore",
            "etcd 3.6 replaces etcd 3.5: safe only from a release of January 2026 or later",
        ),
        {33: 12, 34: 0},
        _ETCD,
    ),
    _Known(
        Change("datastore", "etcd 3.7 replaces etcd 3.6, and there is no way back without a copy"),
        {37: 0},
        _ETCD,
    ),
)


def between(before: Version, after: Version, datastore: str) -> tuple[Change, ...]:
    """Return the known changes from one release to another.

    `datastore` is the value of `backup.facts.Datastore`.
    """
    return tuple(
        one.change
        for one in _KNOWN
        if one.datastore.lower() in {"", datastore.lower()}
        and one.applies(after)
        and not one.applies(before)
    )


def skips_minor(before: Version, after: Version) -> bool:
    """Return whether an upgrade skips a minor version, which Kubernetes does not support."""
    return before.major == after.major and after.minor - before.minor > 1
