"""Tests of what was written to a datastore since a backup."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from k3s_rootless.backup import database, written
from tests.backup.cluster import opened


def test_the_names_of_later_rows(tmp_path: Path) -> None:
    file = tmp_path / "state.db"
    with closing(opened(file)) as found:
        for name in ("/registry/pods/default/a", "/registry/pods/default/b"):
            found.execute("INSERT INTO kine (name) VALUES (?)", (name,))
        found.commit()
        revision = database.revision(file)
        assert revision == 2
        found.executemany("INSERT INTO kine (name) VALUES (?)", [("/registry/pods/default/b",)] * 3)
        found.commit()

        assert ("/registry/pods/default/b",) == database.written_since(file, revision)
        assert () == database.written_since(file, 5)


@pytest.mark.parametrize("content", [b"", b"junk" * 1000], ids=["empty", "junk"])
def test_a_datastore_that_cannot_be_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "state.db").write_bytes(content)

    assert () == database.written_since(tmp_path / "state.db", 0)
    assert () == database.written_since(tmp_path / "missing.db", 0)


def test_objects_are_counted_by_resource() -> None:
    names = (
        "/registry/pods/default/a",
        "/registry/pods/default/b",
        "/registry/namespaces/shop",
        "/registry/helm.cattle.io/helmcharts/kube-system/traefik",
        "/registry/leases/kube-node-lease/host",
        "/registry/events/default/a.1",
        "compact_rev_key",
        "/registry/health",
        "junk",
    )

    assert {"pods": 2, "namespaces": 1, "helmcharts.helm.cattle.io": 1} == written.counted(names)
