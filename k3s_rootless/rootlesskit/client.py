"""rootlesskit's API socket, read only: K3s removes each forward that it did not make, so there is
nothing to add.

`rootlesskit.state` knows where the socket may lie; only a socket of the user is asked.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import PeerError
from k3s_rootless.linux.facts import LONGEST_SOCKET_PATH
from k3s_rootless.rest import UnixPeer, refusal
from k3s_rootless.rootlesskit import state, wire
from k3s_rootless.rootlesskit.facts import CHILD_PID, Forward, RootlessKit

if TYPE_CHECKING:
    from k3s_rootless.rest import Answer, Peer

_HINT = "check that K3s runs: `k3s-rootless status`"


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
    path = peer.socket.with_name(CHILD_PID)
    try:
        return state.child(path.parent)
    except (OSError, ValueError):
        raise PeerError(f"cannot find K3s's namespace: {path} names no process") from None


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
        raise PeerError(
            f"cannot ask rootlesskit for {what}: {refusal(answer)}", status=answer.status
        )
