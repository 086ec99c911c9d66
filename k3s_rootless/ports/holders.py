"""Who holds a socket: its process, program and unit where it is our own, and its user where it is somebody else's.

Only a process's owner may read /proc/PID/fd (proc_pid_fd(5)), so of others no more than the uid is ever known.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path

from k3s_rootless.ports.facts import Holder, Listener
from k3s_rootless.printable import printable

MOST_PROCESSES = 4096
_PROC = Path("/proc")


def of(listeners: Iterable[Listener], *, uid: int, proc: Path = _PROC) -> Mapping[Listener, Holder]:
    """Tell for each socket who holds it; looks through the processes of `uid` only if one of the sockets is theirs."""
    asked = tuple(listeners)
    own = {one.inode for one in asked if one.uid == uid and one.inode}
    found = _processes(own, uid, proc) if own else {}
    return {one: _holder(one, found) for one in asked}


def _holder(listener: Listener, found: Mapping[int, tuple[int, str, str]]) -> Holder:
    pid, program, unit = found.get(listener.inode or 0, (None, "", ""))
    return Holder(listener.uid, _user(listener.uid), pid, program, unit)


def _processes(inodes: set[int], uid: int, proc: Path) -> dict[int, tuple[int, str, str]]:
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, tuple[int, str, str]] = {}
    pids = sorted((int(entry.name) for entry in os.scandir(proc) if entry.name.isdecimal()), reverse=True)
    for pid in pids[:MOST_PROCESSES]:
        process = proc / str(pid)
        try:
            if process.stat().st_uid != uid:
                continue
            held = {links[target] for target in _descriptors(process) if target in links}
            if held:
                found.update(dict.fromkeys(held - found.keys(), (pid, _program(process), _unit(process))))
        except OSError:
            continue  # it ended meanwhile, or guards its descriptors even from its owner
        if len(found) == len(links):
            break
    return found


def _descriptors(process: Path) -> list[str]:
    targets = []
    for entry in os.scandir(process / "fd"):
        try:
            targets.append(os.readlink(entry.path))  # noqa: PTH115 (20,000 of them: a Path for each takes longer)
        except OSError:
            continue
    return targets


def _program(process: Path) -> str:
    return printable((process / "comm").read_text("utf-8", "replace").strip())


def _unit(process: Path) -> str:
    # The innermost part with a unit's ending; a slice is no answer to "what do I stop".
    endings = (".service", ".scope", ".socket")
    for line in (process / "cgroup").read_text("utf-8", "replace").splitlines():
        parts = [part for part in line.rpartition(":")[2].split("/") if part.endswith(endings)]
        if parts:
            return printable(parts[-1])
    return ""


def _user(uid: int) -> str:
    try:
        return printable(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return ""
