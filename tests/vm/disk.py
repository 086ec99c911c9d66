"""Read-only disk that carries the project and K3s into the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.debian.bootstrap import SEARCH_PATH
from tests.machine import K3S
from tests.vm.errors import VmError


def payload_disk(tree: Path, directory: Path) -> Path:
    """Make a disk of `tree`; `$K3S_BINARY`, if set, replaces the K3s in it."""
    if real := os.environ.get("K3S_BINARY"):
        tree = _with_k3s(tree, Path(real), directory / "tree")
    disk = directory / "payload"
    environment = {**os.environ, "PATH": SEARCH_PATH}
    size = _size(tree) * 5 // 4 + (32 << 20)
    command = [
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-O",
        "^has_journal",
        "-m",
        "0",
        "-d",
        str(tree),
        str(disk),
        f"{size >> 10}k",
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise VmError(f"cannot make the payload's disk: {done.stderr.strip()}")
    return disk


def _with_k3s(tree: Path, real: Path, copy: Path) -> Path:
    shutil.copytree(tree, copy, symlinks=True, copy_function=os.link)
    place = copy / K3S.lstrip("/")
    # The original tree shares this file as a hard link, so it is replaced and not overwritten.
    place.unlink()
    shutil.copyfile(real, place)
    place.chmod(0o755)
    return copy


def _size(tree: Path) -> int:
    # Each file fills whole blocks, and has an inode.
    return sum((path.lstat().st_size // 4096 + 2) * 4096 for path in tree.rglob("*"))
