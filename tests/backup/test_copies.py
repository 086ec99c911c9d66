"""Tests of copies that are brought up to date."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k3s_rootless.backup import copies


def content(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return mode, time and content of all files below a path."""
    return {
        str(one.relative_to(path)): (one.stat().st_mode, one.stat().st_mtime_ns, one.read_bytes())
        for one in path.rglob("*")
        if one.is_file() and not one.is_symlink()
    }


@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
@settings(max_examples=40)
def test_a_copy_becomes_equal(
    tmp_path_factory: pytest.TempPathFactory, before: bytes, after: bytes
) -> None:
    place = tmp_path_factory.mktemp("copies")
    (place / "a").write_bytes(after)
    (place / "b").write_bytes(before)

    copies.update(place / "a", place / "b")

    assert (place / "b").read_bytes() == after


def test_only_pieces_that_differ_are_written(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    data = bytearray(os.urandom(5 * 2**20 + 100))
    copy.write_bytes(data)
    data[3 * 2**20] ^= 1
    source.write_bytes(data)

    copies.update(source, copy)

    assert copy.read_bytes() == data
    assert copy.stat().st_mtime_ns == source.stat().st_mtime_ns


def test_a_directory_is_copied_with_modes_times_and_links(tmp_path: Path) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    (source / "tls").mkdir(parents=True)
    (source / "tls/a.key").write_text("key")
    (source / "tls/a.key").chmod(0o600)
    os.utime(source / "tls/a.key", (1_700_000_000, 1_700_000_000))
    (source / "link").symlink_to("tls/a.key")
    os.mkfifo(source / "pipe")
    copy.mkdir()
    (copy / "left").write_text("from an earlier run")

    copies.update(source, copy)

    assert content(source) == content(copy)
    assert (copy / "link").readlink() == Path("tls/a.key")
    assert not (copy / "pipe").exists()


def test_the_copy_of_nothing_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("from an earlier run")

    copies.update(tmp_path / "missing", tmp_path / "copy")
    copies.update(tmp_path / "missing/deeper", tmp_path / "no/copy")

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["file", "directory", "link"])
def test_a_copy_of_another_kind_is_replaced(tmp_path: Path, kind: str) -> None:
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_text("text")
    if kind == "directory":
        copy.mkdir()
    elif kind == "link":
        copy.symlink_to("source")

    copies.update(source, copy)

    assert not copy.is_symlink()
    assert copy.read_text() == source.read_text() == "text"
