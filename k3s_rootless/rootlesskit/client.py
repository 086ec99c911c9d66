"""rootlesskit's API socket, read only: K3s removes each forward that it did not make, so there is
nothing to add.

Where the socket lies depends on the release (K3s #9308): `<data directory>/rootless/api.sock`, or,
before, `$TMPDIR/rootless<digits>/api.sock`, of which an unclean stop leaves dead ones behind. Only
a socket of the user is asked.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import PeerError
from k3s_rootless.k3s import features
from k3s_rootless.rest import UnixPeer, complaint
from k3s_rootless.rootlesskit import wire
from k3s_rootless.rootlesskit.facts import Forward, RootlessKit

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.rest import Answer, Peer

LONGEST_SOCKET_PATH = 107
"""Bytes of a unix socket's path: 108 in `struct sockaddr_un` (unix(7)), with the NUL at its end."""
_HINT = "check that K3s runs: `k3s-rootless status`"


def state_candidates(settings: Settings, version: Version | None, *, uid: int) -> tuple[Path, ...]:
    """List where the API socket may lie, the likeliest first.

    Without a version, and for a build between releases, whose number says little about what is in
    it, both places count. Of the directory for temporary files only directories of `uid` are
    listed, the newest first: anybody may make one.
    """
    fixed = (settings.data / "rootless" / "api.sock",)
    if version is None or version.commit_build:
        return fixed + _temporary(settings.temporary, uid)
    return (
        fixed
        if features.FIXED_STATE_DIRECTORY.holds(version)
        else _temporary(settings.temporary, uid)
    )


def state_of(process: int, root: Path = Path("/")) -> Path | None:
    """Give the state directory of a rootlesskit that runs: it holds a file `lock` there open (its
    pkg/parent); else None.
    """
    try:
        links = [entry.readlink() for entry in (root / f"proc/{process}/fd").iterdir()]
    except OSError:
        return None
    return next((link.parent for link in links if link.name == "lock" and link.is_absolute()), None)


def live_peer(candidates: Iterable[Path], *, uid: int, timeout: float) -> UnixPeer:
    """Pick the first socket behind which a rootlesskit answers; `timeout` in seconds is for all of
    them together.

    Raises PeerError, which names what was tried and why it did not do.
    """
    deadline = time.monotonic() + timeout
    refused = []
    for socket in candidates:
        try:
            _require_own(socket, uid)
            peer = UnixPeer(socket)
            _require_rootlesskit(peer, max(deadline - time.monotonic(), 0.001))
        except PeerError as error:
            refused.append(error.message)
        else:
            return peer
    tried = "; ".join(refused) or "no state directory was found"
    raise PeerError(f"cannot find rootlesskit's API socket: {tried}", hint=_HINT)


def forwards(peer: Peer, timeout: float) -> tuple[Forward, ...]:
    """Ask for all forwards, in rootlesskit's own (random) order; raises PeerError.

    `timeout` is in seconds.
    """
    answer = peer.get("/v1/ports", timeout=timeout)
    _require_success(answer, "the forwards")
    return wire.forwards(answer.body)


def info(peer: Peer, timeout: float) -> RootlessKit | None:
    """Ask rootlesskit about itself; None from those before 0.14 (K3s 1.21), who do not know the
    question. Raises PeerError.
    """
    answer = peer.get("/v1/info", timeout=timeout)
    if answer.status == 404:
        return None
    _require_success(answer, "its version")
    return wire.info(answer.body)


def child_pid(peer: UnixPeer, said: RootlessKit | None) -> int:
    """Give the process that owns the child's namespaces: what `info` said, or what stands in the
    state directory.

    rootlesskit before 0.14 (K3s 1.20) does not tell it, and all releases write it to `child_pid`
    (its pkg/parent). Raises PeerError.
    """
    if said is not None and said.child_pid:
        return said.child_pid
    path = peer.socket.with_name("child_pid")
    try:
        with path.open("rb") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        raise PeerError(f"cannot find K3s's namespace: {path} names no process") from None


def has_child(sockets: Iterable[Path], *, since: datetime | None) -> bool:
    """Tell whether a child lives that was made at or after `since`, by `child_pid` beside one of
    the API sockets.

    rootlesskit writes it as soon as the namespaces are there, and a stop that was not clean leaves
    it behind.
    """
    for socket in sockets:
        path = socket.with_name("child_pid")
        try:
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if (since is None or written >= since) and Path(
                f"/proc/{int(path.read_bytes()[:32])}"
            ).exists():
                return True
        except (OSError, ValueError):
            continue
    return False


def _temporary(directory: Path, uid: int) -> tuple[Path, ...]:
    found = []
    for state in directory.glob("rootless*"):
        try:
            owner, socket = state.lstat(), (state / "api.sock").lstat()
        except OSError:
            continue
        if stat.S_ISDIR(owner.st_mode) and owner.st_uid == uid:
            found.append((socket.st_mtime_ns, state / "api.sock"))
    return tuple(path for _, path in sorted(found, reverse=True))


def _require_own(socket: Path, uid: int) -> None:
    length = len(os.fsencode(socket))
    if length > LONGEST_SOCKET_PATH:
        raise PeerError(
            f"cannot use {socket}: its path has {length} bytes, and a unix socket's path at most"
            f" {LONGEST_SOCKET_PATH}",
            hint="give K3s a shorter --data-dir",
        )
    try:
        found = socket.lstat()
    except OSError as error:
        raise PeerError(f"cannot use {socket}: {(error.strerror or str(error)).lower()}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise PeerError(f"cannot use {socket}: it is no socket")
    if found.st_uid != uid:
        raise PeerError(f"cannot use {socket}: it belongs to uid {found.st_uid}, not to uid {uid}")


def _require_rootlesskit(peer: UnixPeer, timeout: float) -> None:
    # rootlesskit before 0.14 has no /v1/info; whoever knows neither question is somebody else.
    answer = peer.get("/v1/info", timeout=timeout)
    if answer.status == 404:
        answer = peer.get("/v1/ports", timeout=timeout)
    if answer.status != 200:
        raise PeerError(
            f"cannot use {peer.socket}: HTTP status {answer.status}", status=answer.status
        )


def _require_success(answer: Answer, what: str) -> None:
    if answer.status != 200:
        why = complaint(answer.body)
        raise PeerError(
            f"cannot ask rootlesskit for {what}: {why} (HTTP status {answer.status})",
            status=answer.status,
        )
