"""Copies of volumes that no k3s-rootless wrote: nothing outside of the directory may change."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from k3s_rootless.backup.volumes import headers, members, order, unpacking
from k3s_rootless.backup.volumes.members import Damaged
from k3s_rootless.backup.volumes.records import Kind, Member
from k3s_rootless.errors import RootlessError

UID, GID = os.getuid(), os.getgid()
IDS = max(UID, GID) + 1
ROOT = Member(b".", Kind.DIRECTORY, 0o700, UID, GID, 0)
VOLUME = Member(b"a", Kind.DIRECTORY, 0o755, UID, GID, 0)
FILE = Member(b"a/f", Kind.FILE, 0o644, UID, GID, 0)


def tar(*parts: Member | bytes) -> bytes:
    """Return a copy with these members; files have no content."""
    content = b"".join(headers.header(one) if isinstance(one, Member) else one for one in parts)
    return content + headers.END


def link(path: bytes, target: bytes, kind: Kind = Kind.LINK) -> Member:
    return replace(FILE, path=path, kind=kind, target=target)


def plain(kind: bytes, path: str = "a/d") -> bytes:
    info = tarfile.TarInfo(path)
    info.type = kind
    return info.tobuf(tarfile.USTAR_FORMAT)


def with_fields(*fields: tuple[bytes, bytes], kind: bytes = b"0") -> bytes:
    """Return a member with these fields in its extended header."""
    records = b"".join(headers._record(key, value) for key, value in fields)  # noqa: SLF001
    extended = tarfile.TarInfo("x")
    extended.type, extended.size = b"x", len(records)
    block = extended.tobuf(tarfile.USTAR_FORMAT)
    return block + records + headers.padding(len(records)) + plain(kind)


def device(kind: bytes) -> bytes:
    found = headers.header(replace(FILE, path=b"a/d"))
    return found[: -headers.BLOCK] + plain(kind)


OWNER = (
    (b"path", b"a/f"),
    (b"uid", b"%d" % UID),
    (b"gid", b"%d" % GID),
    (b"mtime", b"0.000000000"),
)
SPARSE = (
    *OWNER,
    *headers.SPARSE,
    (b"GNU.sparse.name", b"a/f"),
    (b"GNU.sparse.realsize", b"10"),
)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (tar(ROOT, VOLUME, replace(FILE, path=b"../f")), "leaves the volumes"),
        (tar(ROOT, VOLUME, replace(FILE, path=b"/etc/f")), "leaves the volumes"),
        (tar(ROOT, VOLUME, replace(FILE, path=b"a/../../f")), "leaves the volumes"),
        (tar(ROOT, VOLUME, replace(FILE, path=b"a/./f")), "not normal"),
        (tar(ROOT, VOLUME, replace(FILE, path=b"a//f")), "not normal"),
        (tar(ROOT, VOLUME, replace(FILE, path=b"a/f\0")), "not valid"),
        (tar(ROOT, replace(FILE, path=b"b/f")), "not in the directory before it"),
        (tar(ROOT, VOLUME, link(b"a/l", b"/etc"), replace(FILE, path=b"a/l/f")), "not in the dir"),
        (tar(ROOT, VOLUME, replace(VOLUME, path=b"b"), FILE), "not in the directory before it"),
        (tar(ROOT, link(b"a", b"/etc")), "the volume `a` is no directory"),
        (tar(ROOT, replace(FILE, path=b"a")), "the volume `a` is no directory"),
        (tar(VOLUME, FILE), "do not begin with their directory"),
        (tar(ROOT, ROOT), "do not begin with their directory"),
        (tar(replace(ROOT, kind=Kind.PIPE)), "are no directory"),
        (tar(), "is empty"),
        (tar(ROOT, VOLUME, link(b"a/h", b"../x", Kind.HARD_LINK)), "leaves the volumes"),
        (tar(ROOT, VOLUME, link(b"a/h", b"/etc/passwd", Kind.HARD_LINK)), "leaves the volumes"),
        (tar(ROOT, VOLUME, link(b"a/h", b".", Kind.HARD_LINK)), "leads to a directory"),
        (tar(ROOT, VOLUME, replace(FILE, kind=Kind.LINK)), "no valid target"),
        (tar(ROOT, VOLUME, replace(FILE, target=b"x")), "no valid target"),
        (tar(ROOT, VOLUME, device(tarfile.CHRTYPE)), "a device"),
        (tar(ROOT, VOLUME, device(tarfile.BLKTYPE)), "a device"),
        (tar(ROOT, VOLUME, plain(tarfile.CHRTYPE)), "a device"),
        (tar(ROOT, VOLUME, plain(tarfile.REGTYPE)), "an unexpected header"),
        (tar(ROOT, VOLUME, plain(tarfile.GNUTYPE_LONGNAME)), "an unexpected header"),
        (tar(ROOT, VOLUME, replace(FILE, uid=IDS)), f"belongs to id {IDS}"),
        (tar(ROOT, VOLUME, replace(FILE, gid=IDS)), f"belongs to id {IDS}"),
        (tar(ROOT, VOLUME, replace(FILE, uid=2**32)), "a number"),
        (
            tar(ROOT, VOLUME, replace(FILE, attributes=((b"trusted.overlay.x", b"y"),))),
            "the attribute `trusted.overlay.x`",
        ),
        (
            tar(ROOT, VOLUME, replace(FILE, attributes=((b"security.selinux", b"y"),))),
            "the attribute `security.selinux`",
        ),
        (tar(ROOT, VOLUME, with_fields(*OWNER, (b"hdrcharset", b"x"))), "an unexpected field"),
        (tar(ROOT, VOLUME, with_fields(*OWNER, OWNER[0])), "extended header"),
        (tar(ROOT, VOLUME, with_fields(*OWNER[1:])), "not normal"),
        (tar(ROOT, VOLUME, with_fields(*OWNER[:-1])), "a time"),
        (tar(ROOT, VOLUME, with_fields(*OWNER[:-1], (b"mtime", b"1e9"))), "a time"),
        (tar(ROOT, VOLUME, with_fields(*OWNER, (b"size", b"-1"))), "a number"),
        (tar(ROOT, VOLUME, with_fields(*SPARSE)), "the map of a sparse file"),
        (
            tar(
                ROOT,
                VOLUME,
                with_fields(*OWNER, *headers.SPARSE, (b"GNU.sparse.name", b"a/g")),
            ),
            "two names",
        ),
        (tar(ROOT, VOLUME, replace(FILE, size=1, segments=((5, 2),))), "exceed its size"),
        (
            tar(ROOT, VOLUME, replace(FILE, size=9, segments=((4, 2), (1, 1)))),
            "overlap",
        ),
        (tar(ROOT) + b"x", "after the last file"),
        (tar(ROOT)[: -headers.BLOCK] + b"x" * headers.BLOCK, "after the last file"),
        (tar(ROOT)[:700] + b"x" + tar(ROOT)[701:], "damaged|between"),
    ],
)
def test_a_hostile_copy_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(Damaged, match=why):
        order.check(io.BytesIO(content), IDS)
    with pytest.raises(Damaged, match=why):
        unpack(content, tmp_path, IDS)


def opened() -> int:
    """Return the number of open descriptors."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def unpack(content: bytes, place: Path, ids: int) -> None:
    root = place / "root"
    root.mkdir()
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY)
    before = opened()
    try:
        unpacking.unpack(io.BytesIO(content), descriptor, ids)
    finally:
        assert before == opened()
        os.close(descriptor)


@pytest.mark.parametrize("cut", [1, 511, 512, 1024, 1500])
def test_a_truncated_copy(cut: int, tmp_path: Path) -> None:
    content = tar(ROOT, VOLUME, FILE)[:-cut]

    for read in (
        lambda: order.check(io.BytesIO(content), IDS),
        lambda: unpack(content, tmp_path, IDS),
    ):
        with pytest.raises((EOFError, Damaged)):
            read()


def test_the_same_file_twice(tmp_path: Path) -> None:
    with pytest.raises(Damaged, match="twice"):
        unpack(tar(ROOT, VOLUME, FILE, FILE), tmp_path, IDS)


@pytest.mark.parametrize(
    ("target", "before"),
    [
        (b"a/none", FILE),
        (b"none/f", FILE),
        (b"a/f/x", FILE),
        (b"a/f", link(b"a/f", b"/etc/passwd")),
        (b"a/f/passwd", link(b"a/f", b"/etc")),
        (b"a/f", replace(FILE, kind=Kind.PIPE)),
    ],
)
def test_a_hard_link_leads_to_a_file_of_the_copy_only(
    target: bytes, before: Member, tmp_path: Path
) -> None:
    content = tar(ROOT, VOLUME, before, link(b"a/h", target, Kind.HARD_LINK))

    with pytest.raises(Damaged, match="hard link"):
        unpack(content, tmp_path, IDS)

    assert not os.path.lexists(tmp_path / "root/a/h")


def test_the_directory_of_volumes_is_writable_for_its_owner_only(tmp_path: Path) -> None:
    unpack(tar(replace(ROOT, mode=0o777), VOLUME), tmp_path, IDS)

    assert (tmp_path / "root").stat().st_mode & 0o7777 == 0o755


def test_a_header_that_is_too_long() -> None:
    extended = tarfile.TarInfo("x")
    extended.type, extended.size = b"x", members.LONGEST_HEADER + 1

    with pytest.raises(Damaged, match="too long"):
        order.check(io.BytesIO(extended.tobuf(tarfile.USTAR_FORMAT) + bytes(2048)), 9)


_PATHS = st.lists(
    st.sampled_from((b"a", b"b", b"..", b".", b"", b"l", b"\xff", b"x" * 300)), max_size=4
).map(b"/".join)
_TARGETS = st.sampled_from((b"", b"..", b"/etc/passwd", b"../outside", b"a", b"a/l", b"a/b/f"))
_MEMBERS = st.builds(
    Member,
    path=_PATHS,
    kind=st.sampled_from(tuple(Kind)),
    mode=st.sampled_from((0o644, 0o4777, 0)),
    uid=st.sampled_from((UID, 5)),
    gid=st.just(GID),
    modified=st.integers(-(10**18), 10**18),
    target=_TARGETS,
)


@given(parts=st.lists(_MEMBERS, max_size=8), flip=st.integers(0, 10**6) | st.none())
@example(parts=[VOLUME, link(b"a/l", b"../../outside"), replace(FILE, path=b"a/l/f")], flip=None)
def test_nothing_outside_changes(parts: list[Member], flip: int | None) -> None:
    content = bytearray(tar(ROOT, VOLUME, *parts))
    if flip is not None:
        content[flip % len(content)] ^= 1 << flip % 8
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        place = Path(name)
        (place / "outside").mkdir()
        (place / "outside/kept").write_text("kept")

        attempt(lambda: unpack(bytes(content), place, IDS))

        assert sorted(path.name for path in place.iterdir()) == ["outside", "root"]
        assert [path.name for path in (place / "outside").iterdir()] == ["kept"]
        assert (place / "outside/kept").stat().st_nlink == 1
        for path in (place / "root", *(place / "root").rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)


def attempt(work: Callable[[], None]) -> None:
    try:
        work()
    except (Damaged, EOFError, RootlessError):
        return
