"""Enter a user namespace with all ids of the user: a new one, or that of a running process.

A new namespace gets its ids from newuidmap and newgidmap. A host can create user namespaces in
which a program has no privileges (AppArmor in Ubuntu 23.10 and later, for programs without a
profile). The owner of a namespace that exists can still enter it, and has all privileges there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from k3s_rootless.errors import CommandFailed, RootlessError
from k3s_rootless.linux.user_namespace import Child

_MAP_SECONDS = 10.0
_RESTRICTION = "kernel/apparmor_restrict_unprivileged_userns"


@dataclass(frozen=True, slots=True)
class IdMapping:
    """Source of the ids of a child.

    These are the paths of the two setuid programs, and the ranges of subordinate ids (first id,
    count).
    """

    newuidmap: str
    newgidmap: str
    uids: Sequence[tuple[int, int]]
    gids: Sequence[tuple[int, int]]

    @property
    def size(self) -> int:
        """The number of ids in the namespace: ids from 0 up to this number exist for both kinds."""
        return 1 + min(sum(count for _, count in kind) for kind in (self.uids, self.gids))

    def matches(self, process: Path) -> bool:
        """Return whether the namespace of a process, given as /proc/PID, has the same ids.

        Raises OSError, ValueError.
        """
        return all(
            _mapped(process / name) == _expected(own, ranges)
            for name, own, ranges in (
                ("uid_map", os.getuid(), self.uids),
                ("gid_map", os.getgid(), self.gids),
            )
        )


def enter(child: Child, mapping: IdMapping | None) -> str:
    """Let a child work as root of its namespace; return why this fails, empty on success.

    Without a mapping, the namespace already has its ids.
    """
    failed = child.error()
    if failed is None:
        return "no user namespace could be created: the process that creates it exited"
    if failed and mapping is None:
        return f"the user namespace of K3s could not be entered: {os.strerror(failed)}"
    if failed:
        return f"no user namespace could be created: {os.strerror(failed)}"
    why = ""
    if mapping is not None:
        why = _map(child, mapping)
    if not why:
        child.proceed()
    return why


@contextmanager
def working(
    mapping: IdMapping, work: Callable[[], bytes], keep: Sequence[int], joined: int | None
) -> Iterator[Child]:
    """Yield a child that works as root of a namespace with a mapping.

    `keep` are descriptors that the child uses. `joined` is a descriptor of a namespace that exists
    and has this mapping; None for a new namespace. The child is ended afterwards. Raises
    RootlessError.
    """
    try:
        child = Child(bytes, work, keep=keep, joined=joined)
    except OSError as error:
        raise RootlessError(f"no process could be started: {error.strerror}") from error
    try:
        why = enter(child, None if joined is not None else mapping)
        if why:
            raise RootlessError(why)
        yield child
    finally:
        child.end()


def lack_of_privileges(proc: Path = Path("/proc")) -> str:
    """Return why this process has no privileges in its user namespace; empty if it has them.

    It gives up its supplementary groups, which is the privilege that is tried.
    """
    try:
        os.setgroups(())
    except PermissionError:
        if is_restricted(proc):
            return (
                "AppArmor on this host gives programs without a profile no privileges in user"
                " namespaces (kernel.apparmor_restrict_unprivileged_userns=1), and the Python of"
                " k3s-rootless has no such profile"
            )
        return "this host gives programs no privileges in their own user namespaces"
    return ""


def is_restricted(proc: Path = Path("/proc")) -> bool:
    """Return whether AppArmor restricts user namespaces of programs without a profile."""
    try:
        return (proc / "sys" / _RESTRICTION).read_text("ascii").strip() == "1"
    except OSError:
        return False


def _map(child: Child, mapping: IdMapping) -> str:
    for program, own, ranges in (
        (mapping.newuidmap, os.getuid(), mapping.uids),
        (mapping.newgidmap, os.getgid(), mapping.gids),
    ):
        try:
            done = child.map_ids(program, own, ranges, _MAP_SECONDS)
        except CommandFailed as error:
            return error.message
        if done.status != 0:
            return f"{program}: {done.stderr.strip() or done.status}"
    return ""


def _mapped(file: Path) -> list[tuple[int, ...]]:
    lines = file.read_text("ascii").splitlines()
    return _joined(tuple(int(word) for word in line.split()) for line in lines)


def _expected(own: int, ranges: Sequence[tuple[int, int]]) -> list[tuple[int, ...]]:
    found = [(0, own, 1)]
    inside = 1
    for first, count in ranges:
        found.append((inside, first, count))
        inside += count
    return _joined(iter(found))


def _joined(lines: Iterator[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return the ranges of a map with adjacent ones joined, sorted by the id inside."""
    found: list[tuple[int, ...]] = []
    for inside, outside, count in sorted(lines):
        if found:
            before, first, length = found[-1]
            if (before + length, first + length) == (inside, outside):
                found[-1] = (before, first, length + count)
                continue
        found.append((inside, outside, count))
    return found
