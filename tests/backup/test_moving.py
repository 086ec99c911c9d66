"""What changes if a backup is restored into other directories, or under another user."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.backup import moving
from k3s_rootless.backup.facts import Datastore, Manifest, Origin, Root, Volumes
from k3s_rootless.backup.moving import Paths
from k3s_rootless.backup.persistent_volumes import PersistentVolume


def origin(user: str, node: str, data: str = "") -> Origin:
    home = f"/home/{user}"
    data = data or f"{home}/.rancher/k3s"
    roots = {Root.DATA: data, Root.HOME: home, Root.VOLUMES: f"{data}/storage", Root.UNIT: "/u"}
    return Origin(user, node, "x86_64", "v1.36.3+k3s1", roots)


MANIFEST = Manifest(
    created=datetime(2026, 11, 27, tzinfo=UTC),
    tool="1.0",
    origin=origin("alice", "node1"),
    datastore=Datastore.SQLITE,
    live=False,
    revision=1,
    entries=(),
    left_out=(),
)
WITH_VOLUMES = replace(MANIFEST, volumes=Volumes(3, 10, 5, ("pvc-1",), 0, consistent=True))
BOB = origin("bob", "other")
STORAGE = "/home/alice/.rancher/k3s/storage"
FIRST = PersistentVolume(1, "pvc-1", "local", f"{STORAGE}/pvc-1", ("node1",), "default/data")


def test_nothing_changes_on_the_same_machine() -> None:
    assert moving.paths(MANIFEST, MANIFEST.origin) == Paths()
    assert tuple(moving.changes(MANIFEST, MANIFEST.origin)) == ()
    verdict = moving.judge([FIRST], MANIFEST, Paths(), {FIRST.path: True}, restored=False)
    assert verdict == moving.Volumes()


def test_all_changes_are_described() -> None:
    found = "\n".join(moving.changes(MANIFEST, BOB))

    assert "from the user alice, and you are bob" in found
    assert "home directory is /home/alice, and becomes /home/bob" in found
    assert "K3S_NODE_NAME is set" in found


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{STORAGE}/pvc-1", "/home/bob/.rancher/k3s/storage/pvc-1"),
        (STORAGE, "/home/bob/.rancher/k3s/storage"),
        ("/home/alice/data", "/home/bob/data"),
        ("/home/alice2/data", "/home/alice2/data"),
        ("/srv/home/alice/data", "/srv/home/alice/data"),
    ],
)
def test_paths_are_moved_by_the_longest_directory(path: str, expected: str) -> None:
    assert moving.paths(MANIFEST, BOB).moved(path) == expected


def test_a_data_directory_elsewhere() -> None:
    there = origin("alice", "node1", "/srv/k3s")
    found = moving.paths(MANIFEST, there)

    assert found.moved(f"{STORAGE}/a") == "/srv/k3s/storage/a"
    assert found.moved("/home/alice/a") == "/home/alice/a"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path: /home/alice/a\n", "path: /home/bob/a\n"),
        ('"/home/alice"', '"/home/bob"'),
        ("--x=/home/alice/.rancher/k3s/tls", "--x=/home/bob/.rancher/k3s/tls"),
        ("a:/home/alice/x:/home/alice/y", "a:/home/bob/x:/home/bob/y"),
        (
            "/home/alice2 /home/alice-2 /home/alice.old",
            "/home/alice2 /home/alice-2 /home/alice.old",
        ),
        ("/srv/home/alice /mnt//home/alice", ""),
    ],
)
def test_paths_in_texts(text: str, expected: str) -> None:
    assert moving.paths(MANIFEST, BOB).replaced(text) == (expected or text)


@given(text=st.text(max_size=200))
def test_other_texts_stay(text: str) -> None:
    assert Paths().replaced(text) == text
    if "/home/alice" not in text:
        assert moving.paths(MANIFEST, BOB).replaced(text) == text


@pytest.mark.parametrize("path", ["/home/b b", "/home/b:b", '/home/"', "/", "/x", "/home/é"])
def test_paths_that_need_quotes_are_refused(path: str) -> None:
    there = replace(BOB, roots={Root.HOME: path})

    assert list(moving.problems(moving.paths(MANIFEST, there)))


def test_a_volume_in_the_backup_is_moved() -> None:
    found = moving.paths(MANIFEST, BOB)
    new = "/home/bob/.rancher/k3s/storage/pvc-1"
    assert moving.wanted([FIRST], found) == (new,)

    verdict = moving.judge([FIRST], WITH_VOLUMES, found, {new: False}, restored=True)

    assert verdict == moving.Volumes(moved=(moving.MovedVolume(FIRST, new),))


@pytest.mark.parametrize(
    ("manifest", "restored", "existing", "missing"),
    [
        (MANIFEST, False, False, True),
        (MANIFEST, True, False, True),
        (MANIFEST, False, True, False),
        (WITH_VOLUMES, False, False, True),
        (WITH_VOLUMES, True, False, False),
        (replace(WITH_VOLUMES, volumes=Volumes(1, 0, 0, (), 0, consistent=True)), True, True, True),
    ],
)
def test_a_volume_without_data(
    manifest: Manifest, *, restored: bool, existing: bool, missing: bool
) -> None:
    known = {FIRST.path: existing}

    verdict = moving.judge([FIRST], manifest, Paths(), known, restored=restored)

    assert bool(verdict.missing) is missing


def test_a_path_that_cannot_be_seen_counts_as_data() -> None:
    one = PersistentVolume(1, "a", "hostPath", "/var/lib/data")

    assert moving.judge([one], MANIFEST, Paths(), {}, restored=False) == moving.Volumes()


def test_volumes_that_are_no_directories_are_ignored() -> None:
    found = moving.paths(MANIFEST, BOB)

    nfs = PersistentVolume(1, "nfs")
    assert moving.judge([nfs], MANIFEST, found, {}, restored=False) == moving.Volumes()


def test_a_volume_of_another_node() -> None:
    other = replace(FIRST, nodes=("node7",))

    verdict = moving.judge([other], MANIFEST, Paths(), {}, restored=False)

    assert verdict.of_other_nodes == (other,)
