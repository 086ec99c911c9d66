"""Volumes are copied and unpacked in real user namespaces, as root and as an ordinary user."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from k3s_rootless.backup.volumes import order
from k3s_rootless.backup.volumes.in_namespace import InNamespace
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import id_mapping
from tests.backup.volumes import trees
from tests.fakes.session import PROJECT, as_user
from tests.largest_file import largest_file
from tests.linux.test_user_namespace import needs_namespaces, needs_root

USER = 65_534
pytestmark = [needs_namespaces, needs_root]


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return trees.make(tmp_path / "storage")


@pytest.fixture
def place() -> Iterator[Path]:
    with trees.open_place() as found:
        yield found


@pytest.fixture
def within(tmp_path: Path) -> InNamespace:
    return trees.root_namespace(tmp_path)


def test_a_copy_of_what_was_unpacked_is_the_same(
    storage: Path, within: InNamespace, tmp_path: Path
) -> None:
    packed = within.pack(storage, tmp_path / "first.tar")
    with (tmp_path / "first.tar").open("rb") as file:
        assert packed.files == order.check(file, within.ids)
    with (tmp_path / "first.tar").open("rb") as file:
        within.unpack(file, tmp_path / "restored")
    assert within.unsupported == 0

    again = within.pack(tmp_path / "restored", tmp_path / "second.tar")

    assert again == packed
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    assert packed.names == ["pvc-1_default_data", "pvc-2_default_other"]
    assert packed.largest_id == 999
    assert (packed.changed, packed.left_out) == (0, [])


def test_the_files_on_the_disk_are_the_same(
    storage: Path, within: InNamespace, tmp_path: Path
) -> None:
    within.pack(storage, tmp_path / "a.tar")
    with (tmp_path / "a.tar").open("rb") as file:
        within.unpack(file, tmp_path / "restored")

    before, after = (described(one) for one in (storage, tmp_path / "restored"))
    assert before == after
    volume = tmp_path / "restored/pvc-1_default_data"
    assert (volume / "hard-link").samefile(volume / "file")
    assert (volume / "sparse").stat().st_blocks * 512 < 100_000
    assert (volume / "hole").stat().st_blocks == 0
    other = tmp_path / "restored/pvc-2_default_other"
    assert (other / "mode-4755").stat().st_uid == trees.FIRST
    assert os.getxattr(other / "mode-640", "security.capability")[4:12] == trees.CAPABILITY[4:12]


def described(root: Path) -> dict[str, tuple[object, ...]]:
    """Return what a copy keeps of each file."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (root, *sorted(root.rglob("*"))):
        status = path.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif path.is_symlink():
            content = path.readlink()
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
            if name.startswith(("user.", "system.posix_acl_"))
        }
        found[str(path.relative_to(root))] = (
            status.st_mode,
            status.st_uid,
            status.st_gid,
            status.st_mtime_ns,
            status.st_nlink,
            content,
            attributes,
        )
    return found


def test_gnu_tar_unpacks_a_copy(storage: Path, within: InNamespace, tmp_path: Path) -> None:
    within.pack(storage, tmp_path / "a.tar")
    target = tmp_path / "by-tar"
    target.mkdir()

    command = ["tar", "--xattrs", "--numeric-owner", "-xpf", str(tmp_path / "a.tar")]
    environ = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(
        command, cwd=target, check=True, capture_output=True, env=environ, text=True
    )

    assert all("implausibly old time" in line for line in done.stderr.splitlines())
    volume = target / "pvc-1_default_data"
    assert (volume / "file").read_bytes() == b"content" * 1000
    assert (volume / "hard-link").samefile(volume / "file")
    assert os.getxattr(volume / "file", "user.a=%b") == b"\xff\x00\n"
    original = storage / "pvc-1_default_data/sparse"
    assert (volume / "sparse").read_bytes() == original.read_bytes()
    assert (target / "pvc-2_default_other/mode-4755").stat().st_uid == 1


def test_what_cannot_be_created_again_is_left_out(
    storage: Path, within: InNamespace, tmp_path: Path
) -> None:
    volume = storage / "pvc-1_default_data"
    os.mknod(volume / "device", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    (storage / "stray").write_text("no volume")
    (storage / "link").symlink_to(volume)
    with closing(socket.socket(socket.AF_UNIX)) as one:
        one.bind(str(volume / "socket"))
        packed = within.pack(storage, tmp_path / "a.tar")

    assert dict(packed.left_out) == {
        "pvc-1_default_data/device": "it is a device, which a user cannot create",
        "pvc-1_default_data/socket": "it is a socket, which its program creates again",
        "stray": "it is no directory, so it is no volume",
        "link": "it is no directory, so it is no volume",
    }
    with (tmp_path / "a.tar").open("rb") as file:
        within.unpack(file, tmp_path / "restored")


def test_an_owner_outside_of_the_ids_is_an_error(
    storage: Path, within: InNamespace, tmp_path: Path
) -> None:
    small = InNamespace(
        id_mapping.IdMapping(
            str(tmp_path / "newuidmap"),
            str(tmp_path / "newgidmap"),
            [(trees.FIRST, 100)],
            [(trees.FIRST, 100)],
        ),
        lambda: None,
    )
    with pytest.raises(RootlessError, match="not one of your subordinate ids"):
        small.pack(storage, tmp_path / "a.tar")

    within.pack(storage, tmp_path / "b.tar")
    with (tmp_path / "b.tar").open("rb") as file, pytest.raises(Exception, match="belongs to id"):
        small.unpack(file, tmp_path / "restored")


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_a_file_of_a_user_without_a_mapping(
    mode: int, storage: Path, within: InNamespace, tmp_path: Path
) -> None:
    """The kernel shows such a file as one of the overflow id, which has a mapping here."""
    volume = storage / "pvc-1_default_data"
    for name, owner in (("mapped", trees.FIRST + 65_533), ("foreign", 5)):
        (volume / name).touch(mode)
        os.chown(volume / name, owner, trees.FIRST)
    with pytest.raises(RootlessError, match=r"data/foreign` belongs to an id that is not one"):
        within.pack(storage, tmp_path / "a.tar")
    (volume / "foreign").unlink()

    assert within.pack(storage, tmp_path / "b.tar").largest_id == 65_534


def test_a_full_disk(storage: Path, within: InNamespace, tmp_path: Path) -> None:
    with (
        largest_file(8192),
        pytest.raises(RootlessError, match="cannot copy the volumes: file too large"),
    ):
        within.pack(storage, tmp_path / "a.tar")


def test_a_tree_of_other_owners_is_removed(storage: Path, within: InNamespace) -> None:
    within.remove(storage)
    within.remove(storage)

    assert not storage.exists()


def test_a_missing_directory(within: InNamespace, tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="no such file"):
        within.pack(tmp_path / "missing", tmp_path / "a.tar")


_ORDINARY = """
import os, sys
from pathlib import Path
from k3s_rootless.backup.volumes.in_namespace import InNamespace
from k3s_rootless.linux import id_mapping
from k3s_rootless.linux.id_mapping import IdMapping
from k3s_rootless.preflight.probes import subids
from tests.backup.volumes import trees
place, running = Path(sys.argv[1]), sys.argv[2:]
user = "nobody"
ranges = [
    [(one.start, one.count) for one in subids.of_user(kind, Path("/"), user, os.getuid()).value]
    for kind in ("subuid", "subgid")
]
mapping = IdMapping("/usr/bin/newuidmap", "/usr/bin/newgidmap", *ranges)
within = InNamespace(mapping, lambda: Path("/proc", running[0]) if running else None)
within.require(without_k3s=False)
if not running:
    file = place / "storage/pvc-2_default_other/mode-640"

    def mark():
        os.setxattr(file, "security.capability", trees.CAPABILITY)
        return b"marked"

    with id_mapping.working(mapping, mark, (), None) as child:
        print(child.receive_all().decode())
try:
    within.require(without_k3s=True)
except Exception as error:
    print("alone:", error)
packed = within.pack(place / "storage", place / "a.tar")
with (place / "a.tar").open("rb") as file:
    within.unpack(file, place / "restored")
print("unsupported", within.unsupported)
again = within.pack(place / "restored", place / "b.tar")
print("same", packed == again and (place / "a.tar").read_bytes() == (place / "b.tar").read_bytes())
if not running:
    within.remove(place / "storage")
    print("removed", not (place / "storage").exists())
"""
_HOLDER = """
import os, sys, time
from k3s_rootless.linux import id_mapping
mapping = id_mapping.IdMapping(
    "/usr/bin/newuidmap", "/usr/bin/newgidmap", [(300000, 65536)], [(300000, 65536)]
)
def work():
    sys.stdout.write(str(os.getpid()))
    sys.stdout.flush()
    os.close(1)
    time.sleep(600)
    return b""
with id_mapping.working(mapping, work, (), None) as child:
    os.close(1)
    child.receive_all()
"""
_SCRIPT = """
set -e
place=$1 python=$2
mount --bind "$place/subuid" /etc/subuid
mount --bind "$place/subgid" /etc/subgid
user=$4
if [ "$3" = new ]; then
    exec $user $python "$place/ordinary.py" "$place"
fi
mkfifo "$place/holder"
$user $python "$place/holder.py" >"$place/holder" & holder=$!
trap 'kill $holder' EXIT
pid=$(cat "$place/holder")
# The kernel creates no user namespace for a process whose root directory was changed.
mount --rbind / "$place/root"
chroot "$place/root" $user $python "$place/ordinary.py" "$place" "$pid"
"""


@pytest.mark.skipif(
    shutil.which("newuidmap") is None or shutil.which("setpriv") is None,
    reason="newuidmap or setpriv is not installed",
)
@pytest.mark.parametrize("way", ["new", "joined"])
def test_an_ordinary_user(way: str, place: Path) -> None:
    """The namespace has ids from /etc/subuid, and is a new one or that of another process."""
    trees.make(place / "storage")
    for kind in ("subuid", "subgid"):
        (place / kind).write_text(f"nobody:{trees.FIRST}:{trees.IDS}\n")
    (place / "ordinary.py").write_text(_ORDINARY)
    (place / "holder.py").write_text(_HOLDER)
    (place / "root").mkdir()
    for path in (place, *place.rglob("*")):
        if path.lstat().st_uid == 0:
            os.chown(path, USER, USER, follow_symlinks=False)
    # Again, because a new owner clears it.
    (place / "storage").chmod(0o700)

    command = ("unshare", "--mount", "sh", "-c", _SCRIPT, "sh")
    done = subprocess.run(
        [*command, str(place), sys.executable, way, shlex.join(as_user(USER))],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    if way == "new":
        assert done.stdout == "marked\nunsupported 0\nsame True\nremoved True\n"
        capability = os.getxattr(
            place / "restored/pvc-2_default_other/mode-640", "security.capability"
        )
        # The third revision, which counts only in namespaces of this user.
        assert (capability[3], int.from_bytes(capability[20:], "little")) == (3, USER)
    else:
        alone, *rest = done.stdout.splitlines()
        assert "no user namespace could be created" in alone
        assert rest == ["unsupported 0", "same True"]
    other = place / "restored/pvc-2_default_other"
    assert other.stat().st_uid == trees.FIRST + 998
    assert (other / "mode-4755").stat().st_mode & 0o7777 == 0o4755
