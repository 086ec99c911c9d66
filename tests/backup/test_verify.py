"""Tests of archives: written and read again, damaged, truncated, and made with hostile content."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import signal
import stat
import sys
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from k3s_rootless.backup import archive, verify
from k3s_rootless.backup import manifest as manifests
from k3s_rootless.backup.facts import Entry
from k3s_rootless.errors import RootlessError, WouldOverwrite
from tests.backup.cluster import NOW, Cluster
from tests.killing import killed_at_many_points

MANIFEST = {
    "schema": "k3s-rootless/backup-manifest/v1",
    "created": NOW.isoformat(),
    "k3s_rootless": "1.0",
    "k3s": None,
    "architecture": "x86_64",
    "user": "alice",
    "node": "node1",
    "directories": {"data": "/home/alice/.rancher/k3s"},
    "datastore": "sqlite",
    "live": True,
    "revision": 1,
}


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "") -> bytes:
    """Return one member of a tar file."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data), kind, link
    return info.tobuf(tarfile.GNU_FORMAT) + data + bytes(-len(data) % 512)


def listed(*files: tuple[str, bytes], **changed: Any) -> bytes:
    """Return a manifest that lists these files."""
    entries = [
        {
            "name": name,
            "size": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "mode": "0600",
            "modified": 0,
        }
        for name, data in files
    ]
    return json.dumps({**MANIFEST, "files": entries, **changed}).encode()


def written(path: Path, *members: bytes) -> Path:
    """Write an archive."""
    path.write_bytes(gzip.compress(b"".join(members) + bytes(1024), 1))
    return path


def refused(path: Path) -> str:
    """Return why an archive is refused; it must not write anything."""
    with pytest.raises(RootlessError) as error:
        verify.read(path)
    return error.value.message


def test_an_archive_has_what_was_backed_up(cluster: Cluster) -> None:
    before = cluster.snapshot()
    file = cluster.place / "a.tar.gz"
    manifest = cluster.back_up(file)
    content: dict[str, bytes] = {}

    @contextmanager
    def target(entry: Entry) -> Iterator[IO[bytes]]:
        stream = io.BytesIO()
        yield stream
        content[entry.name] = stream.getvalue()

    found = verify.read(file, target)

    assert found.manifest == manifest == verify.manifest_of(file).manifest
    assert found.size == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert content["data/server/token"] == before["home/.rancher/k3s/server/token"]
    assert content["data/server/db/state.db"] == before["home/.rancher/k3s/server/db/state.db"]
    assert content["home/k3s.yaml"] == b"first"
    assert not any("coredns" in name or "bin/k3s" in name for name in content)


@pytest.mark.parametrize("absent", ["nothing", "isal"])
def test_any_tar_program_can_read_an_archive(
    cluster: Cluster, absent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the fast library, as on 32-bit ARM, the archive is the same."""
    monkeypatch.setitem(sys.modules, absent, None)
    manifest = cluster.back_up(cluster.place / "a.tar.gz")

    with tarfile.open(cluster.place / "a.tar.gz") as found:
        names = found.getnames()
        first = found.extractfile(names[0])
        assert first
        assert "contains secrets" in json.load(first)["warning"]

    assert names == ["manifest.json", *(one.name for one in manifest.entries)]


def test_each_truncation_is_found(cluster: Cluster) -> None:
    file = cluster.place / "a.tar.gz"
    cluster.back_up(file)
    whole = file.read_bytes()
    for end in (*range(0, len(whole), max(1, len(whole) // 150)), len(whole) - 1):
        file.write_bytes(whole[:end])
        assert refused(file)


def test_each_flipped_byte_is_found(cluster: Cluster) -> None:
    file = cluster.place / "a.tar.gz"
    cluster.back_up(file)
    whole = file.read_bytes()
    # Bytes 3 to 9 of the header of gzip (flags, time, level and system) are not checked by gzip,
    # and hold nothing of the content.
    for at in (0, 1, 2, *range(10, len(whole), max(1, len(whole) // 300))):
        damaged = whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :]
        file.write_bytes(damaged)
        # A few bits fill the last byte of a compressed block, and have no meaning.
        if not is_same(damaged, whole):
            assert refused(file)


def is_same(one: bytes, other: bytes) -> bool:
    """Return whether two compressed files have the same content."""
    try:
        return gzip.decompress(one) == gzip.decompress(other)
    except (OSError, EOFError, zlib.error):
        return False


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "data/../../x",
        "data/./x",
        "data//x",
        "data",
        "data/",
        "etc/x",
        "../data/x",
        "",
        "data/x/..",
        "data/a\0b",
        "data/" + "x" * 2000,
    ],
)
def test_names_that_leave_their_directory_are_refused(name: str, tmp_path: Path) -> None:
    content = listed((name, b"x"))
    file = written(tmp_path / "a", member("manifest.json", content), member("data/x", b"x"))

    assert "files.0.name" in refused(file)


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.SYMTYPE, "a symbolic link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a pipe"),
        (tarfile.DIRTYPE, "a directory"),
        (tarfile.XHDTYPE, "unexpected type"),
        (tarfile.GNUTYPE_LONGNAME, "unexpected type"),
        (tarfile.GNUTYPE_SPARSE, "unexpected type"),
    ],
)
def test_only_regular_files_are_accepted(kind: bytes, what: str, tmp_path: Path) -> None:
    content = listed(("data/server/token", b"x"))
    odd = member("data/server/token", b"x", kind, "/etc/passwd")

    assert what in refused(written(tmp_path / "a", member("manifest.json", content), odd))
    assert what in refused(written(tmp_path / "b", odd, member("manifest.json", content)))


def test_content_that_the_manifest_does_not_list(tmp_path: Path) -> None:
    head = member("manifest.json", listed(("data/a", b"x"), ("data/b", b"y")))
    good = (member("data/a", b"x"), member("data/b", b"y"))
    assert verify.read(written(tmp_path / "0", head, *good)).manifest.content == 2

    for number, (members, why) in enumerate(
        [
            ((good[1], good[0]), "where its manifest lists"),
            ((good[0],), "a file is missing"),
            ((*good, member("data/c")), "does not list"),
            ((member("data/a", b"y"), good[1]), "another checksum"),
            ((member("data/a", b"xx"), good[1]), "another size"),
            ((good[0][:-1] + b"!", good[1]), "data between its files"),
        ],
        start=1,
    ):
        assert why in refused(written(tmp_path / str(number), head, *members))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"schema": "k3s-rootless/backup-manifest/v2"}, "its format is version 2"),
        ({"schema": "other/v1"}, "schema"),
        ({"datastore": "paper"}, "datastore"),
        ({"created": "yesterday"}, "created"),
        ({"revision": True}, "revision"),
        (
            {
                "files": [
                    {
                        "name": "data/a",
                        "size": 1,
                        "sha256": "0" * 64,
                        "mode": "0600",
                        "modified": 2**40,
                    }
                ]
            },
            "modified",
        ),
        ({"files": [{"name": "data/a", "size": -1, "sha256": "0" * 64, "mode": "0600"}]}, "size"),
        ({"files": [{"name": "data/a", "size": 1, "sha256": "0", "mode": "0600"}]}, "sha256"),
        (
            {"files": [{"name": "data/a", "size": 1, "sha256": "0" * 64, "mode": "4755"}]},
            "mode",
        ),
        (
            {
                "files": [
                    {
                        "name": "data/a",
                        "size": 2**41,
                        "sha256": "0" * 64,
                        "mode": "0600",
                        "modified": 0,
                    }
                ]
            },
            "too many",
        ),
    ],
)
def test_manifests_that_are_refused(changed: dict[str, Any], why: str, tmp_path: Path) -> None:
    assert why in refused(written(tmp_path / "a", member("manifest.json", listed(**changed))))


def test_a_file_cannot_be_a_directory_too(tmp_path: Path) -> None:
    content = listed(("data/a", b""), ("data/a/b", b""))

    assert "as a directory" in refused(written(tmp_path / "a", member("manifest.json", content)))


def test_a_name_is_listed_once(tmp_path: Path) -> None:
    content = listed(("data/a", b""), ("data/a", b""))

    assert "twice" in refused(written(tmp_path / "a", member("manifest.json", content)))


def test_a_small_archive_cannot_fill_the_memory(tmp_path: Path) -> None:
    """100 MB of null bytes compress to 100 KB, in each place where a reader might take them."""
    content = listed()
    huge = bytes(100 * 2**20)
    files = [
        written(tmp_path / "manifest", member("manifest.json", huge)),
        written(tmp_path / "pax", member("x", huge, tarfile.XHDTYPE)),
        written(tmp_path / "end", member("manifest.json", content), huge),
    ]
    del huge
    child = os.fork()
    if child == 0:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 50 * 2**20,) * 2)
        for file in files:
            try:
                verify.read(file)
            except RootlessError:
                continue
            os._exit(1)
        os._exit(0)

    assert os.waitpid(child, 0)[1] == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=3000))
@example(b"")
@example(gzip.compress(b""))
@example(gzip.compress(bytes(1024)))
@example(gzip.compress(bytes(511)))
def test_junk_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert refused(tmp_path / "a")
    (tmp_path / "a").write_bytes(gzip.compress(data, 1))
    assert refused(tmp_path / "a")
    assert refused(written(tmp_path / "a", member("manifest.json", data)))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=5,
)


@given(st.sampled_from([*MANIFEST, "files", "left_out"]), json_values)
def test_no_value_of_a_manifest_raises_another_error(key: str, value: object) -> None:
    content = {**MANIFEST, "files": [], "left_out": [], key: value}
    try:
        found = manifests.parse(json.dumps(content).encode())
    except RootlessError:
        return
    assert manifests.parse(manifests.render(found)) == found


@given(st.text(max_size=40))
@example("data/a/../b")
def test_an_allowed_name_stays_below_its_directory(name: str) -> None:
    if manifests.name_problem(name):
        return
    root, rest = manifests.split(name)
    assert os.path.normpath(f"/top/{rest}") == f"/top/{rest}"
    assert root.value == name.split("/", maxsplit=1)[0]


def test_paths_that_are_no_archive(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    assert "no regular file" in refused(tmp_path / "pipe")
    assert "directory" in refused(tmp_path) or "regular" in refused(tmp_path)
    assert "no such file" in refused(tmp_path / "missing")


def test_an_existing_file_is_kept(cluster: Cluster) -> None:
    file = cluster.place / "a.tar.gz"
    manifest = cluster.back_up(file)
    before = file.read_bytes()

    with pytest.raises(WouldOverwrite):
        archive.write(file, manifest, cluster.place, force=False)

    assert before == file.read_bytes()


def test_a_full_disk_leaves_nothing(cluster: Cluster) -> None:
    cluster.fill("more", rows=4000)
    (cluster.place / "out").mkdir()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        # The staged database is smaller than this, and it compresses badly.
        limit = cluster.database.stat().st_size // 4
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        manifest = cluster.back_up(cluster.place / "whole.tar.gz")
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            archive.write(cluster.place / "out/a.tar.gz", manifest, cluster.place, force=False)
        except RootlessError:
            os._exit(0)
        finally:
            os._exit(1)

    assert os.waitpid(child, 0)[1] == 0
    assert [] == list((cluster.place / "out").iterdir())


def test_a_write_that_is_killed_anywhere_leaves_no_archive_or_a_whole_one(
    cluster: Cluster,
) -> None:
    out = cluster.place / "out"
    out.mkdir()
    file = out / "k3s-rootless-backup-20261127T120000Z.tar.gz"
    points = 0
    for point in killed_at_many_points(lambda: cluster.back_up(file)):
        points = point
        if file.exists():
            verify.read(file)
            file.unlink()
        assert all(path.stat().st_mode & 0o77 == 0 for path in out.glob(".*.new"))
    assert points > 50
    # The next run removes what the killed runs left. An empty file may belong to a process that
    # has just created it, so it is kept for a minute.
    for path in out.glob(".*.new"):
        os.utime(path, (0, 0))
    cluster.back_up(file)
    assert sorted(path.name for path in out.iterdir()) == [file.name, "staging"]
    assert [] == list((out / "staging").iterdir())
