"""Volumes that pods change while they are copied."""

from __future__ import annotations

import errno
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from k3s_rootless.backup.volumes import headers, members, order, packing
from k3s_rootless.backup.volumes.records import Kind, Member, Packed
from k3s_rootless.errors import RootlessError

IDS = 2**32
SIZE = 3 * 2**20


class Pod(io.BytesIO):
    """A stream that changes the volumes before a write, as a pod could."""

    def __init__(self, change: Callable[[], None], after: int) -> None:
        super().__init__()
        self.change = change
        self.after = after

    def write(self, data: object, /) -> int:
        self.after -= 1
        if self.after == 0:
            self.change()
        return super().write(data)  # type: ignore[arg-type]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    volume = tmp_path / "storage/pvc-1"
    (volume / "below").mkdir(parents=True)
    (volume / "file").write_bytes(b"x" * SIZE)
    (volume / "last").write_bytes(b"y")
    return tmp_path / "storage"


def pack(storage: Path, out: io.BytesIO) -> Packed:
    descriptor = os.open(storage, os.O_PATH | os.O_DIRECTORY)
    try:
        packed = packing.pack(descriptor, out, IDS)
    finally:
        os.close(descriptor)
    out.seek(0)
    assert packed.files == order.check(out, IDS)
    out.seek(0)
    return packed


@pytest.mark.parametrize("size", [0, 100, SIZE - 1])
def test_a_file_that_becomes_shorter(size: int, storage: Path) -> None:
    # The root, the volume, the directory below, the header of the file, its first piece.
    out = Pod(lambda: os.truncate(storage / "pvc-1/file", size), 5)

    packed = pack(storage, out)

    assert packed.changed == 1
    content = {one.path: data.read(SIZE) for one, data in members.read(out)}
    assert len(content[b"pvc-1/file"]) == SIZE
    assert content[b"pvc-1/last"] == b"y"


def test_a_file_that_becomes_longer(storage: Path) -> None:
    def append() -> None:
        with (storage / "pvc-1/file").open("ab") as file:
            file.write(b"more")

    packed = pack(storage, Pod(append, 5))

    assert packed.changed == 1
    assert packed.content == SIZE + 1


@pytest.mark.parametrize("name", ["file", "below", "last"])
def test_a_file_that_is_removed(name: str, storage: Path) -> None:
    def remove() -> None:
        path = storage / "pvc-1" / name
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()

    packed = pack(storage, Pod(remove, 2))

    # The names of the volume are read after its header is written.
    assert (packed.changed, packed.files) == (0, 4)


def test_a_file_that_is_removed_after_it_was_listed(storage: Path) -> None:
    packed = pack(storage, Pod((storage / "pvc-1/last").unlink, 5))

    assert (packed.changed, packed.files) == (1, 4)


def test_a_directory_that_is_replaced_by_a_link(storage: Path) -> None:
    (storage / "pvc-1/zero").mkdir()

    def replace() -> None:
        (storage / "pvc-1/zero").rmdir()
        (storage / "pvc-1/zero").symlink_to("/etc")

    out = Pod(replace, 5)
    packed = pack(storage, out)

    kinds = {one.path: one.kind for one, _ in members.read(out)}
    assert kinds[b"pvc-1/zero"] is Kind.LINK
    assert packed.left_out == []


def test_a_directory_that_is_moved_away(storage: Path, tmp_path: Path) -> None:
    def move() -> None:
        shutil.move(storage / "pvc-1/below", tmp_path / "below")

    with pytest.raises(RootlessError, match="was moved to another directory"):
        pack(storage, Pod(move, 3))


def test_a_stream_without_space(storage: Path) -> None:
    def fail() -> None:
        raise OSError(errno.ENOSPC, "no space")

    with pytest.raises(OSError, match="no space"):
        pack(storage, Pod(fail, 5))


def test_a_size_that_a_plain_header_cannot_hold() -> None:
    large = Member(b"a", Kind.FILE, 0o600, 0, 0, 0, size=9 * 2**30)

    found, _ = next(members.read(io.BytesIO(headers.header(large))))

    assert found == large


def test_a_file_with_very_many_parts_is_copied_with_its_holes(tmp_path: Path) -> None:
    volume = tmp_path / "storage/pvc-1"
    volume.mkdir(parents=True)
    with (volume / "file").open("wb") as file:
        for number in range(200):
            file.seek(number * 65536)
            file.write(b"%d" % number)
    out = io.BytesIO()

    packed = pack(tmp_path / "storage", out)

    (found,) = (one for one, _ in members.read(out) if one.kind is Kind.FILE)
    assert found.segments is not None
    assert len(found.segments) == 200
    assert packed.content < found.size / 2
    assert headers.stored_size(found) == packed.content
