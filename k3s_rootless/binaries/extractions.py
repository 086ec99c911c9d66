"""Reader of the directories into which K3s unpacks itself: `data/<SHA-256>` in its data directory.

Source: cmd/k3s/main.go, extract. An interrupted extraction leaves `<SHA-256>-tmp`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from k3s_rootless.binaries.facts import Extraction
from k3s_rootless.k3s import layout

UNFINISHED = "-tmp"
_NAME = re.compile(rf"[0-9a-f]{{64}}({UNFINISHED})?")
_LINKS = ("current", "previous")
_DELETED = " (deleted)"


def read(data: Path, proc: Path = Path("/proc")) -> tuple[Extraction, ...]:
    """Return the directories below the data directory of K3s. Raises OSError."""
    place = data / layout.UNPACKED
    try:
        names = sorted(entry.name for entry in os.scandir(place) if entry.is_dir())
    except FileNotFoundError:
        return ()
    directories = [place / name for name in names if _NAME.fullmatch(name)]
    linked = {_resolved(place / name) for name in _LINKS}
    running = tuple(_programs(proc))
    return tuple(
        Extraction(
            path=one,
            size=sum(_sizes(one)),
            unfinished=one.name.endswith(UNFINISHED),
            linked=_resolved(one) in linked,
            running=any(path.is_relative_to(_resolved(one)) for path in running),
        )
        for one in directories
        if not one.is_symlink()
    )


def _programs(proc: Path) -> Iterator[Path]:
    """Yield the programs of all processes that can be read: those of this user."""
    for entry in os.scandir(proc):
        if not entry.name.isdecimal():
            continue
        try:
            target = os.readlink(f"{entry.path}/exe")  # noqa: PTH115 (thousands of processes)
        except OSError:
            continue  # a process of another user, a kernel thread, or one that has ended
        yield Path(target.removesuffix(_DELETED))


def _sizes(directory: Path) -> Iterator[int]:
    """Yield the sizes of the files below a directory, as they are on the disk."""
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                yield os.lstat(os.path.join(root, name)).st_blocks * 512  # noqa: PTH118
            except FileNotFoundError:
                continue


def _resolved(path: Path) -> Path:
    return Path(os.path.realpath(path))
