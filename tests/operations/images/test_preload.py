"""Tests that an archive is placed for K3s whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError, WouldOverwrite
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.images import client, preload
from tests.largest_file import largest_file
from tests.node.images import archives


@pytest.fixture
def place(home: Path) -> Path:
    """Return K3s's directory for images, of the user manager with this home."""
    return home / ".rancher/k3s/agent/images"


@pytest.fixture
def context(context: Context, home: Path) -> Context:
    """Return the context, in which K3s gets the home of the test."""
    with context.manager() as manager:
        manager.change_environment((), {"HOME": str(home)})
    return context


def archive(home: Path, name: str, content: bytes) -> Path:
    path = home / name
    path.write_bytes(content)
    path.chmod(0o644)
    return path


def left(place: Path) -> list[str]:
    return sorted(path.name for path in (*place.glob("*"), *place.parent.glob(".*")))


def test_an_archive_gets_the_ending_by_which_k3s_recognises_it(
    context: Context, home: Path, place: Path
) -> None:
    content = archives.zstandard(archives.docker("app:1"))

    done = preload.preload(context, archive(home, "app", content))

    assert place / "app.tar.zst" == done.path
    assert content == done.path.read_bytes()
    assert (True, False, ("docker.io/library/app:1",)) == (done.changed, done.at_once, done.names)
    assert frozenset({"docker.io/library/app:1"}) == client.preloaded(place.parents[1])


def test_the_same_archive_is_not_copied_again(context: Context, home: Path) -> None:
    path = archive(home, "app.tar", archives.docker("app:1"))
    first = preload.preload(context, path)
    inode = first.path.stat().st_ino

    again = preload.preload(context, path)

    assert not again.changed
    assert inode == again.path.stat().st_ino


def test_another_archive_of_the_same_name_is_kept(context: Context, home: Path) -> None:
    preload.preload(context, archive(home, "app.tar", archives.docker("app:1")))
    other = archive(home, "app.tar", archives.docker("app:2"))

    with pytest.raises(WouldOverwrite) as refused:
        preload.preload(context, other)

    assert f"replace it with: k3s-rootless images preload --force {other}" == refused.value.hint
    assert ("docker.io/library/app:2",) == preload.preload(context, other, force=True).names


def test_nothing_is_left_of_an_archive_that_does_not_fit(
    context: Context, home: Path, place: Path
) -> None:
    path = archive(home, "app.tar", archives.docker("app:1"))

    with largest_file(100_000), pytest.raises(RootlessError, match="cannot preload"):
        preload.preload(context, path)

    assert [] == left(place)


def test_the_rest_of_a_killed_command_is_replaced(
    context: Context, home: Path, place: Path
) -> None:
    preload.preload(context, archive(home, "first.tar", archives.docker("first:1")))
    (place.parent / ".k3s-rootless-preload.new").write_bytes(b"half of an archive")

    preload.preload(context, archive(home, "app.tar", archives.docker("app:1")))

    assert ["app.tar", "first.tar"] == left(place)


def test_a_file_that_is_no_archive_is_not_placed(context: Context, home: Path, place: Path) -> None:
    with pytest.raises(RootlessError, match="it is not an archive of images"):
        preload.preload(context, archive(home, "app.tar", b"<html>" * 200))

    assert [] == left(place)


def test_lists_of_images_and_archives_are_preloaded(tmp_path: Path) -> None:
    place = tmp_path / "agent/images"
    place.mkdir(parents=True)
    (place / "list.txt").write_text("app:1\n\nquay.io/a/b:2\n")
    (place / "one.tar.gz").write_bytes(archives.gzipped(archives.docker("one:1")))
    (place / ".cache.json").write_text("{}")

    names = {"docker.io/library/app:1", "quay.io/a/b:2", "docker.io/library/one:1"}
    assert names == client.preloaded(tmp_path)


def test_an_archive_that_cannot_be_read_is_no_reason_to_remove_images(tmp_path: Path) -> None:
    place = tmp_path / "agent/images"
    place.mkdir(parents=True)
    (place / "one.tar.lz4").write_bytes(b"\x04\x22\x4d\x18" * 200)

    with pytest.raises(RootlessError, match=r"one\.tar\.lz4"):
        client.preloaded(tmp_path)
