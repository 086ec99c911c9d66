"""Tests of copies of embedded etcd, with files that a real etcd and etcdctl wrote."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.backup import bolt, etcd, etcd_files
from k3s_rootless.backup.facts import Entry
from k3s_rootless.errors import RootlessError
from tests.real_etcd import LARGE, EtcdData, copy_member

pytestmark = pytest.mark.thorough

_PAGE = 4096


@pytest.fixture
def snapshot(etcd_data: EtcdData, tmp_path: Path) -> Path:
    """Return a copy of a snapshot."""
    target = tmp_path / "snapshot"
    shutil.copyfile(etcd_data.snapshot, target)
    return target


def database(etcd_data: EtcdData) -> Path:
    """Return the database of the stopped member."""
    return etcd_data.member / "member/snap/db"


def test_a_snapshot_has_the_revision_that_etcd_reports(etcd_data: EtcdData, snapshot: Path) -> None:
    assert etcd.check_snapshot(snapshot) == etcd_data.revision
    assert etcd.check_database(database(etcd_data)) == etcd_data.revision


def test_the_last_state_of_each_object_is_read(etcd_data: EtcdData, snapshot: Path) -> None:
    for file in (snapshot, database(etcd_data)):
        found = {key: value for _, key, value in etcd.below(file, "/registry/configmaps/default/")}

        assert found == {
            "/registry/configmaps/default/first": b"new",
            "/registry/configmaps/default/large": bytes(20_000),
        }
        assert LARGE == len(etcd.below(file, "/registry/configmaps/large/"))
        assert [] == list(etcd.below(file, "/registry/none/"))


def _truncated(data: bytearray) -> None:
    del data[len(data) // 2 :]


def _without_checksum(data: bytearray) -> None:
    del data[-32:]


def _one_bit(data: bytearray) -> None:
    data[len(data) // 3] ^= 1


def _other_checksum(data: bytearray) -> None:
    data[-1] ^= 1


def _longer(data: bytearray) -> None:
    data += bytes(512)


def _empty(data: bytearray) -> None:
    data.clear()


def _junk(data: bytearray) -> None:
    data[:] = b"junk" * 100


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_truncated, "its checksum is missing"),
        (_without_checksum, "its checksum is missing"),
        (_one_bit, "does not match the checksum"),
        (_other_checksum, "does not match the checksum"),
        (_longer, "does not match the checksum"),
        (_empty, "its checksum is missing"),
        (_junk, "its checksum is missing"),
    ],
)
def test_a_damaged_snapshot(damage: Callable[[bytearray], None], why: str, snapshot: Path) -> None:
    data = bytearray(snapshot.read_bytes())
    damage(data)
    snapshot.write_bytes(data)

    with pytest.raises(RootlessError, match=why):
        etcd.check_snapshot(snapshot)


def _no_meta(data: bytearray) -> None:
    data[: 2 * _PAGE] = bytes(2 * _PAGE)


def _cut(data: bytearray) -> None:
    del data[-4 * _PAGE :]


def _overwritten(data: bytearray) -> None:
    """Overwrite the page of the root bucket, as a disk with errors does."""
    roots = [struct.unpack_from("<Q", data, at * _PAGE + 16 + 16)[0] for at in (0, 1)]
    for root in roots:
        data[root * _PAGE : (root + 1) * _PAGE] = b"\xff" * _PAGE


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (_no_meta, "it is no database of etcd"),
        (_cut, "it is truncated"),
        (_overwritten, "has a damaged header"),
        (_empty, "it is empty"),
        (_junk, "it is no database of etcd"),
    ],
)
def test_a_damaged_database(
    damage: Callable[[bytearray], None], why: str, etcd_data: EtcdData, tmp_path: Path
) -> None:
    file = tmp_path / "db"
    data = bytearray(database(etcd_data).read_bytes())
    # etcd grows the file in steps: only the pages that are in use count.
    pages = max(struct.unpack_from("<Q", data, at * _PAGE + 16 + 40)[0] for at in (0, 1))
    del data[pages * _PAGE :]
    damage(data)
    file.write_bytes(data)

    with pytest.raises(RootlessError, match=f"the datastore is damaged: .*{why}"):
        etcd.check_database(file)


def test_the_older_meta_page_is_used_if_the_last_write_was_interrupted(
    etcd_data: EtcdData, tmp_path: Path
) -> None:
    data = bytearray(database(etcd_data).read_bytes())
    last = max((0, 1), key=lambda at: struct.unpack_from("<Q", data, at * _PAGE + 16 + 48)[0])
    data[last * _PAGE + 16 + 50] ^= 1
    file = tmp_path / "db"
    file.write_bytes(data)

    assert etcd.check_database(file) <= etcd_data.revision


@given(data=st.data())
def test_no_damage_leads_to_another_error(etcd_data: EtcdData, data: st.DataObject) -> None:
    content = bytearray(database(etcd_data).read_bytes())
    used = len(content.rstrip(b"\0"))
    at = data.draw(st.integers(0, used - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    descriptor = os.memfd_create("db")
    try:
        os.write(descriptor, content)
        file = Path(f"/proc/self/fd/{descriptor}")
        with suppress(RootlessError):
            etcd.check_database(file)
            etcd.below(file, "/registry/")
    finally:
        os.close(descriptor)


def test_a_cycle_of_pages_ends(etcd_data: EtcdData, tmp_path: Path) -> None:
    """A branch page that refers to itself."""
    content = bytearray(database(etcd_data).read_bytes())
    for number in range(2, len(content) // _PAGE):
        start = number * _PAGE
        _, flags, count, _ = struct.unpack_from("<QHHI", content, start)
        if flags == 1:
            for element in range(count):
                struct.pack_into("<Q", content, start + 16 + element * 16 + 8, number)
    file = tmp_path / "db"
    file.write_bytes(content)

    with pytest.raises(RootlessError, match="is used twice"):
        etcd.check_database(file)


def test_values_that_overlap_take_no_time(etcd_data: EtcdData, tmp_path: Path) -> None:
    """Each of many values is almost the whole file: the size of a page limits all of them."""
    content = bytearray(database(etcd_data).read_bytes())
    for number in range(2, len(content) // _PAGE):
        start = number * _PAGE
        written, flags, count, overflow = struct.unpack_from("<QHHI", content, start)
        if (written, flags, overflow) == (number, 2, 0):
            for element in range(count):
                at = start + 16 + element * 16
                _, position, key_size, _ = struct.unpack_from("<IIII", content, at)
                rest = start + _PAGE - at - position - key_size
                struct.pack_into("<I", content, at + 12, rest)
    file = tmp_path / "db"
    file.write_bytes(content)

    with pytest.raises(RootlessError, match="the values of a page overlap"):
        etcd.check_database(file)


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="no such file"):
        etcd.check_snapshot(tmp_path / "missing")
    with pytest.raises(RootlessError, match="no such file"):
        etcd.check_database(tmp_path / "missing")


def test_a_key_outside_of_all_buckets(tmp_path: Path) -> None:
    with pytest.raises(bolt.Damaged, match="it is no database"), bolt.opened(_file(tmp_path), 64):
        pass


def _file(place: Path) -> Path:
    file = place / "small"
    file.write_bytes(bytes(64))
    return file


def test_the_files_of_a_stopped_member_are_copied(etcd_data: EtcdData, tmp_path: Path) -> None:
    data, folder = tmp_path / "data", tmp_path / "folder"
    member = data / "server/db/etcd"
    copy_member(etcd_data, member)
    (member / "member/wal/1.tmp").write_bytes(bytes(100))
    os.mkfifo(member / "pipe")
    (member / "link").symlink_to("name")

    found = {one.name.removeprefix("data/server/db/etcd/") for one in copied(data, folder)}

    assert {"name", "member/snap/db"} <= found
    assert any(name.endswith(".wal") for name in found)
    assert not {"member/wal/1.tmp", "pipe", "link"} & found
    copy = folder / "data/server/db/etcd/member/snap/db"
    assert etcd.check_database(copy) == etcd_data.revision
    assert etcd_files.size(data) == sum(one.size for one in copied(data, tmp_path / "again"))


def copied(data: Path, folder: Path) -> tuple[Entry, ...]:
    """Copy the files of a stopped member."""
    return etcd_files.copy_stopped(data, folder)


def test_a_member_without_files(tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="no such file"):
        copied(tmp_path, tmp_path / "folder")
