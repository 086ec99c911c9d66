"""Probes of subordinate ids: those of the user, and those of other users.

They read /etc/subuid, /etc/subgid and /etc/passwd below the given root, and run getsubids(1).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.facts import SubidFiles, SubidRange
from k3s_rootless.preflight.probes import files

KINDS = ("subuid", "subgid")


def of_user(kind: str, root: Path, user: str, uid: int) -> Observed[tuple[SubidRange, ...]]:
    """Return the subordinate ids of the user; `kind` is `subuid` or `subgid`.

    getsubids(1) is used first, because only it knows ranges from a directory service (`subid:` in
    nsswitch.conf). rootlesskit does the same from 1.1.0 on (K3s v1.33). Otherwise, the file is
    read, by name or by uid.
    """
    if root == Path("/"):
        found = _getsubids(kind, user)
        if found is not None:
            return found
    path = root / "etc" / kind
    try:
        text = path.read_text("utf-8", "replace")
    except FileNotFoundError:
        return Known((), str(path))
    except OSError as error:
        return Unknown(f"{path} cannot be read: {error.strerror}")
    owners = {user, str(uid)}
    return Known(tuple(ids for owner, ids in _entries(text) if owner in owners), str(path))


def _getsubids(kind: str, user: str) -> Known[tuple[SubidRange, ...]] | None:
    """Return the ranges that getsubids(1) prints; None without such a program or without ranges."""
    program, _ = command.found("getsubids")
    if program is None:
        return None
    arguments = [program, user]
    if kind == "subgid":
        arguments = [program, "-g", user]
    try:
        output = command.run(arguments, timeout=5)
    except CommandFailed:
        return None
    ranges = []
    for line in output.stdout.splitlines():
        words = line.split()  # `0: alice 100000 65536`
        if len(words) == 4 and _is_number(words[2]) and _is_number(words[3]):
            ranges.append(SubidRange(int(words[2]), int(words[3])))
    if not ranges:
        return None
    return Known(tuple(ranges), " ".join(arguments))


def of_all(root: Path, user: str, uid: int) -> Observed[SubidFiles]:
    """Read the ranges of other users and the uids of real users.

    They show whether ids are assigned twice.
    """
    own = {user, str(uid)}
    others = []
    links = []
    for kind in KINDS:
        path = root / "etc" / kind
        others += [
            (kind, owner, ids) for owner, ids in _entries(files.text(path)) if owner not in own
        ]
        if path.is_symlink():
            links.append(str(path))
    rows = [line.split(":") for line in files.text(root / "etc/passwd").splitlines()]
    users = tuple((row[0], int(row[2])) for row in rows if len(row) > 2 and _is_number(row[2]))
    read = ", ".join(f"/etc/{name}" for name in (*KINDS, "passwd"))
    return Known(SubidFiles(tuple(links), tuple(others), users), read)


def _entries(text: str) -> Iterator[tuple[str, SubidRange]]:
    """Yield the owner and range of each well-formed line `owner:start:count`."""
    for line in text.split("\n"):
        owner, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if _is_number(start) and _is_number(count):
            yield owner, SubidRange(int(start), int(count))


def _is_number(text: str) -> bool:
    # Python refuses to parse numbers of thousands of digits.
    return text.isascii() and text.isdecimal() and len(text) < 20
