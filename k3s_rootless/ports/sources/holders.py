"""The owner of a socket.

Only the owner of a process is allowed to read its /proc/PID/fd (proc_pid_fd(5)). So process,
program and unit are known for the user's own sockets, and only the uid for the sockets of others.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable, Mapping
from pathlib import Path

from k3s_rootless.linux import control_group
from k3s_rootless.linux.facts import Listener
from k3s_rootless.ports.facts import Holder
from k3s_rootless.printable import printable

MOST_PROCESSES = 4096
_PROC = Path("/proc")
_Process = tuple[int | None, str, str, bool]
"""PID, program, unit, and whether the process is in the control group of K3s's unit."""
_K3S = frozenset({"k3s-server", "k3s-agent"})
"""The process names of K3s as a server or agent; `k3s` can also be `k3s kubectl`."""
_UNITS = frozenset({"k3s.service", "k3s-agent.service", "k3s-rootless.service"})


def of(
    listeners: Iterable[Listener], *, uid: int, unit_group: str = "", proc: Path = _PROC
) -> Mapping[Listener, Holder]:
    """Return the owner of each socket.

    The processes of `uid` are read only if `uid` owns one of the sockets. `unit_group` is the
    control group of K3s's unit: a process in it belongs to K3s.
    """
    sockets = tuple(listeners)
    own = {one.inode for one in sockets if one.uid == uid and one.inode}
    found: Mapping[int, _Process] = {}
    if own:
        found = _processes(own, uid, unit_group, proc)
    return {one: _holder(one, found) for one in sockets}


def _holder(listener: Listener, found: Mapping[int, _Process]) -> Holder:
    pid, program, unit, of_k3s = found.get(listener.inode or 0, (None, "", "", False))
    return Holder(listener.uid, _user(listener.uid), pid, program, unit, of_unit=of_k3s)


def _processes(inodes: set[int], uid: int, unit_group: str, proc: Path) -> dict[int, _Process]:
    links = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, _Process] = {}
    pids = sorted(
        (int(entry.name) for entry in os.scandir(proc) if entry.name.isdecimal()), reverse=True
    )
    for pid in pids[:MOST_PROCESSES]:
        process = proc / str(pid)
        try:
            if process.stat().st_uid != uid:
                continue
            held = {links[target] for target in _descriptors(process) if target in links}
            if held:
                groups = control_group.paths(process)
                of_k3s = control_group.is_within(groups, unit_group)
                one = (pid, _program(process), _innermost_unit(groups), of_k3s)
                found.update(dict.fromkeys(held - found.keys(), one))
        except OSError:
            continue  # the process ended, or the kernel denies its descriptors to the user
        if len(found) == len(links):
            break
    return found


def _descriptors(process: Path) -> list[str]:
    targets = []
    for entry in os.scandir(process / "fd"):
        try:
            targets.append(os.readlink(entry.path))  # noqa: PTH115 (up to 20,000 links)
        except OSError:
            continue
    return targets


def _program(process: Path) -> str:
    return printable((process / "comm").read_text("utf-8", "replace").strip())


def _unit(process: Path) -> str:
    return _innermost_unit(control_group.paths(process))


def _innermost_unit(groups: tuple[str, ...]) -> str:
    # The innermost part with the suffix of a unit; a user does not stop a slice.
    endings = (".service", ".scope", ".socket")
    for path in groups:
        parts = [part for part in path.split("/") if part.endswith(endings)]
        if parts:
            return printable(parts[-1])
    return ""


def _user(uid: int) -> str:
    try:
        return printable(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return ""


def of_k3s(*, proc: Path = _PROC) -> tuple[Holder, ...]:
    """Return the owners of each K3s on this host, one for each user and unit.

    K3s is recognised by its program or its unit, which every user can read.
    """
    found: dict[tuple[int, str], Holder] = {}
    pids = sorted(int(entry.name) for entry in os.scandir(proc) if entry.name.isdecimal())
    for pid in pids[:MOST_PROCESSES]:
        process = proc / str(pid)
        try:
            program, unit, uid = _program(process), _unit(process), process.stat().st_uid
        except OSError:
            continue
        if program in _K3S or unit in _UNITS:
            found.setdefault((uid, unit), Holder(uid, _user(uid), pid, program, unit))
    return tuple(found.values())


def of_lock(file: Path, *, uid: int, proc: Path = _PROC) -> Holder | None:
    """Return the process of `uid` that holds a lock on a file (flock(2)).

    None if there is no such process, or if the locks cannot be read.
    """
    try:
        inode = file.stat().st_ino
        lines = (proc / "locks").read_text("ascii", "replace").splitlines()
    except OSError:
        return None
    # `2: FLOCK  ADVISORY  WRITE 4242 00:2f:1234 0 EOF` (proc_locks(5)); a line with `->` waits for
    # the lock.
    for fields in map(str.split, lines):
        if (
            fields[1:2] == ["FLOCK"]
            and len(fields) == 8
            and fields[5].rpartition(":")[2] == str(inode)
        ):
            process = proc / fields[4]
            try:
                if process.stat().st_uid == uid:
                    return Holder(
                        uid, _user(uid), int(fields[4]), _program(process), _unit(process)
                    )
            except OSError:
                continue
    return None
