"""Trees of volumes with all kinds of files, and a user namespace for them."""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from k3s_rootless.backup.volumes.in_namespace import InNamespace
from k3s_rootless.linux.id_mapping import IdMapping

FIRST = 300_000
IDS = 65_536
HOLE = 20_000_000
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
"""security.capability: cap_net_raw+ep, in the second revision of linux/capability.h."""
_MAPPER = """\
#!/bin/sh
# newuidmap and newgidmap for root, without ranges in /etc/subuid
pid=$1; shift
printf '%s %s %s\\n' "$@" >/proc/$pid/KIND_map
"""


def root_namespace(place: Path) -> InNamespace:
    """Return a namespace for root, who has no subordinate ids on most hosts."""
    return InNamespace(root_mapping(place), lambda: None)


def root_mapping(place: Path) -> IdMapping:
    """Return the mapping of `root_namespace`."""
    programs = []
    for kind in ("uid", "gid"):
        program = place / f"new{kind}map"
        program.write_text(_MAPPER.replace("KIND", kind))
        program.chmod(0o755)
        programs.append(str(program))
    return IdMapping(programs[0], programs[1], [(FIRST, IDS)], [(FIRST, IDS)])


def make(storage: Path, first: int = FIRST) -> Path:
    """Write two volumes; the ids from 1 on are those from `first` on."""
    volume = storage / "pvc-1_default_data"
    volume.mkdir(parents=True)
    (volume / "file").write_bytes(b"content" * 1000)
    os.link(volume / "file", volume / "hard-link")
    (volume / "absolute").symlink_to("/etc/passwd")
    (volume / "dangling").symlink_to("../../../no/where")
    os.mkfifo(volume / "pipe")
    (volume / "empty").mkdir()
    (volume / os.fsdecode(b"name-\xff\n")).write_bytes(b"")
    with (volume / "sparse").open("wb") as file:
        file.seek(HOLE // 2)
        file.write(b"x" * 5000)
        file.truncate(HOLE)
    (volume / "hole").touch()
    os.truncate(volume / "hole", HOLE)
    deep = volume
    for _ in range(30):
        deep /= "d" * 60  # longer than the names of a plain tar file
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"deep")
    os.setxattr(volume / "file", "user.a=%b", b"\xff\x00\n")
    os.setxattr(volume / "empty", "user.directory", b"x")
    other = storage / "pvc-2_default_other"
    other.mkdir()
    for number, mode in enumerate((0o4755, 0o2755, 0o1700, 0o000, 0o640)):
        path = other / f"mode-{mode:o}"
        path.write_bytes(b"m")
        os.chown(path, first + number, first + 998, follow_symlinks=False)
        path.chmod(mode)
        os.utime(path, ns=(1, 1_600_000_000_123_456_789 + number))
    for path, name in ((other, "default"), (other / "mode-640", "access")):
        entries = ((1, 7, -1), (2, 4, first + 5), (4, 4, -1), (16, 5, -1), (32, 0, -1))
        packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
        with suppress(OSError):  # a file system without access control lists
            os.setxattr(path, f"system.posix_acl_{name}", struct.pack("<I", 2) + packed)
    if os.geteuid() == 0:
        os.setxattr(other / "mode-640", "security.capability", CAPABILITY)
    os.chown(other, first + 998, first + 998)
    other.chmod(0o2770)
    os.utime(volume / "absolute", ns=(1, -1_500_000_001), follow_symlinks=False)
    return storage


@contextmanager
def open_place() -> Iterator[Path]:
    """Yield a directory that other users can enter; those of pytest are accessible to root only."""
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def clear(path: Path) -> None:
    """Remove a tree."""
    shutil.rmtree(path)
