"""Tests of the known changes between releases."""

from __future__ import annotations

import pytest

from k3s_rootless.backup.facts import Datastore
from k3s_rootless.k3s import changes
from k3s_rootless.k3s.version import Version, parse


def release(text: str) -> Version:
    found = parse(text)
    assert found
    return found


@pytest.mark.parametrize(
    ("before", "after", "datastore", "texts"),
    [
        ("v1.31.9+k3s1", "v1.32.3+k3s1", Datastore.SQLITE, ["Traefik 3"]),
        ("v1.32.3+k3s1", "v1.32.4+k3s1", Datastore.SQLITE, []),
        ("v1.36.2+k3s1", "v1.36.3+k3s1", Datastore.SQLITE, ["kubernetesIngressNGINX"]),
        ("v1.34.1+k3s1", "v1.35.1+k3s1", Datastore.SQLITE, ["compaction"]),
        ("v1.34.5+k3s1", "v1.35.7+k3s2", Datastore.SQLITE, ["kubernetesIngressNGINX"]),
        ("v1.36.3+k3s1", "v1.37.0+k3s1", Datastore.SQLITE, ["kine 0.17"]),
        ("v1.36.3+k3s1", "v1.37.0+k3s1", Datastore.ETCD, ["etcd 3.7"]),
        ("v1.32.9+k3s1", "v1.33.1+k3s1", Datastore.ETCD, []),
        ("v1.33.5+k3s1", "v1.34.1+k3s1", Datastore.ETCD, ["etcd 3.6"]),
        ("v1.37.0+k3s1", "v1.36.3+k3s1", Datastore.SQLITE, []),
    ],
)
def test_known_changes(before: str, after: str, datastore: Datastore, texts: list[str]) -> None:
    found = changes.between(release(before), release(after), datastore.value)

    assert len(texts) == len(found), found
    assert all(text in one.text for text, one in zip(texts, found, strict=True))


@pytest.mark.parametrize(
    ("before", "after", "skips"),
    [
        ("v1.34.1+k3s1", "v1.36.3+k3s1", True),
        ("v1.35.1+k3s1", "v1.36.3+k3s1", False),
        ("v1.36.3+k3s1", "v1.34.1+k3s1", False),
    ],
)
def test_skipped_minor_versions(before: str, after: str, *, skips: bool) -> None:
    assert skips == changes.skips_minor(release(before), release(after))
