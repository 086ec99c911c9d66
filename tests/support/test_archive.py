"""Tests that an archive is written atomically, readable for its owner only.

It never replaces an existing file.
"""

from __future__ import annotations

import hashlib
import io
import json
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError, WouldOverwrite
from k3s_rootless.support import archive, host
from k3s_rootless.support.facts import Item, Missing

ITEMS = (
    Item("status.json", "how far", '{"x": "é"}\n'),
    Item("journal/start-1.txt", "the journal", "lone \ud800 surrogate\n", "cut"),
)
MADE = datetime(2026, 11, 24, tzinfo=UTC)


def test_the_manifest_lists_sizes_checksums_and_missing_parts() -> None:
    item = archive.manifest(
        ITEMS, [Missing("unit.txt", "the unit", "there is none")], {"anonymous": True}
    )
    content = json.loads(item.text)

    assert archive.SCHEMA == content["schema"]
    assert content["anonymous"]
    assert ["status.json", "journal/start-1.txt"] == [one["name"] for one in content["files"]]
    data = ITEMS[0].text.encode()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (
        content["files"][0]["size"],
        content["files"][0]["sha256"],
    )
    assert [None, "cut"] == [one["problem"] for one in content["files"]]
    assert [{"name": "unit.txt", "what": "the unit", "reason": "there is none"}] == content[
        "missing"
    ]


def test_the_archive_contains_no_data_about_its_creator() -> None:
    data = archive.packed(ITEMS, "folder", MADE)

    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        members = opened.getmembers()
        files = [(one.name, opened.extractfile(one)) for one in members]
        texts = {name: file.read() for name, file in files if file is not None}
    assert {"folder/status.json", "folder/journal/start-1.txt"} == set(texts)
    assert {(0, 0, "", "", 0o600)} == {
        (one.uid, one.gid, one.uname, one.gname, one.mode) for one in members
    }
    assert b"lone ? surrogate\n" == texts["folder/journal/start-1.txt"]
    # RFC 1952: no optional field such as a file name (FLG), and no time (MTIME). zlib sets the byte
    # of the operating system.
    assert data[3:8] == bytes(5)


def test_only_the_owner_can_read_a_new_file_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"

    archive.write(path, b"data", force=False)

    assert b"data" == path.read_bytes()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [path] == list(tmp_path.iterdir())


def test_an_existing_file_is_replaced_only_with_force(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_text("mine")

    with pytest.raises(WouldOverwrite, match="already exists"):
        archive.write(path, b"data", force=False)
    assert "mine" == path.read_text()
    archive.write(path, b"data", force=True)

    assert b"data" == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


WRITER = """
import sys, time
from pathlib import Path
from k3s_rootless import atomic as durable
with durable.staged(Path(sys.argv[1]), b"half of it", 0o600):
    print("written", flush=True)
    time.sleep(60)
"""


@contextmanager
def writing(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that writes a file, and stops before it moves the file into place."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert b"written\n" == process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["a.tar.gz", f"{archive.NAME}-20261124T000307Z.tar.gz"])
def test_files_of_a_killed_bundle_are_removed_by_the_next_bundle(tmp_path: Path, name: str) -> None:
    with writing(tmp_path / name):
        pass
    (left,) = tmp_path.iterdir()
    assert 0o600 == stat.S_IMODE(left.stat().st_mode)

    archive.write(tmp_path / "a.tar.gz", b"data", force=False)

    assert [tmp_path / "a.tar.gz"] == list(tmp_path.iterdir())


def test_files_in_use_and_files_of_other_programs_are_kept(tmp_path: Path) -> None:
    others = [
        tmp_path / name
        for name in (".b.tar.gz.abcdefgh.new", ".a.tar.gz.notes.new", "a.tar.gz.abcdefgh.new")
    ]
    for other in others:
        other.write_text("mine")
    link = tmp_path / ".a.tar.gz.linklink.new"
    link.symlink_to(others[0])
    fresh = tmp_path / ".a.tar.gz.justmade.new"
    fresh.touch()
    with writing(tmp_path / "a.tar.gz"):
        before = set(tmp_path.iterdir())

        archive.write(tmp_path / "a.tar.gz", b"data", force=False)

        assert before | {tmp_path / "a.tar.gz"} == set(tmp_path.iterdir())


@pytest.mark.parametrize("target", ["victim", "nothing"])
def test_a_link_is_never_followed(tmp_path: Path, target: str) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path = tmp_path / "a.tar.gz"
    path.symlink_to(tmp_path / target)

    with pytest.raises(WouldOverwrite):
        archive.write(path, b"data", force=False)
    archive.write(path, b"data", force=True)

    assert "mine" == victim.read_text()
    assert not (tmp_path / "nothing").exists()
    assert not path.is_symlink()


@pytest.mark.parametrize(
    ("name", "reason", "hint"),
    [
        ("gone/a.tar.gz", "no such file", "mkdir -p"),
        (".", "is a directory", "-o"),
        ("file/a.tar.gz", "not a directory", "file is not a directory"),
    ],
)
def test_a_failed_write_is_reported_with_a_hint(
    tmp_path: Path, name: str, reason: str, hint: str
) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(RootlessError, match=reason) as raised:
        archive.write(tmp_path / name, b"data", force=True)

    assert hint in (raised.value.hint or "")


def test_each_fact_of_the_host_can_fail_separately(tmp_path: Path) -> None:
    """An empty tree has nothing to read, but some facts come from the kernel."""
    found = host.facts(tmp_path, (tmp_path,))

    assert found["os_release"] is None
    assert found["machine"]
    assert {"os_release", "uptime_seconds", "places"} <= {one["fact"] for one in found["unknown"]}


def test_the_facts_of_this_host_can_be_read(tmp_path: Path) -> None:
    found = host.facts(Path("/"), (tmp_path / "not" / "yet",))

    assert found["memory_kib"]["MemTotal"] > 0
    (place,) = found["places"]
    assert not place["exists"]
    assert place["mount"]["point"].startswith("/")
    assert place["size_mib"] > 0


def test_addresses_exclude_loopback(tmp_path: Path) -> None:
    net = tmp_path / "proc/net"
    net.mkdir(parents=True)
    (net / "fib_trie").write_text(
        "Local:\n  +-- 0.0.0.0/0\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.7\n "
        "       /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n"
    )
    (net / "if_inet6").write_text(
        "00000000000000000000000000000001 01 80 10 80 lo\n20010db8000000000000000000000007 02 40 00"
        " 80 eth0\n"
    )

    assert ("192.0.2.7", "2001:db8::7") == host.addresses(tmp_path)
    assert () == host.addresses(tmp_path / "nowhere")
