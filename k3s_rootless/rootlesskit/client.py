"""A read-only client for rootlesskit's API socket.

It adds no forwards: K3s removes each forward that K3s did not create. `rootlesskit.state` lists the
possible paths of the socket; only a socket of this user is queried.
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
from k3s_rootless.rootlesskit.facts import Forward, RootlessKit
from k3s_rootless.rootlesskit.names import CHILD_PID

if TYPE_CHECKING:
    from k3s_rootless.rest import Answer, Peer

_HINT = "check that K3s runs: `k3s-rootless status`"


def live_peer(candidates: Iterable[Path], *, uid: int, timeout: float) -> UnixPeer:
    """Return the first socket on which a rootlesskit answers.

    `timeout` is in seconds, and applies to all candidates together. Raises PeerError, which lists
    the candidates and why each was rejected.
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
    """Return all forwards, in rootlesskit's (random) order.

    `timeout` is in seconds. Raises PeerError.
    """
    answer = peer.get("/v1/ports", timeout=timeout)
    _require_success(answer, "the forwards")
    return wire.forwards(answer.body)


def info(peer: Peer, timeout: float) -> RootlessKit | None:
    """Return rootlesskit's information about itself.

    Return None for versions before 0.14 (K3s 1.21), which do not have this request. Raises
    PeerError.
    """
    answer = peer.get("/v1/info", timeout=timeout)
    if answer.status == 404:
        return None
    _require_success(answer, "its version")
    return wire.info(answer.body)


def child_pid(peer: UnixPeer, info: RootlessKit | None) -> int:
    """Return the process that owns the child's namespaces, from `info` or from the state directory.

    rootlesskit before 0.14 (K3s 1.20) does not report it, and all releases write it to `child_pid`
    (its pkg/parent). Raises PeerError.
    """
    if info is not None and info.child_pid:
        return info.child_pid
    path = peer.socket.with_name(CHILD_PID)
    try:
        return state.child(path.parent)
    except (OSError, ValueError):
        raise PeerError(f"cannot find K3s's namespace: {path} contains no PID") from None


def _require_own(socket: Path, uid: int) -> None:
    length = len(os.fsencode(socket))
    if length > LONGEST_SOCKET_PATH:
        raise PeerError(
            f"cannot use {socket}: its path has {length} bytes, and the limit for Unix sockets is"
            f" {LONGEST_SOCKET_PATH}",
            hint="use a shorter --data-dir for K3s",
        )
    try:
        found = socket.lstat()
    except OSError as error:
        raise PeerError(f"cannot use {socket}: {(error.strerror or str(error)).lower()}") from error
    if not stat.S_ISSOCK(found.st_mode):
        raise PeerError(f"cannot use {socket}: it is not a socket")
    if found.st_uid != uid:
        raise PeerError(f"cannot use {socket}: it belongs to uid {found.st_uid}, not to uid {uid}")


def _require_rootlesskit(peer: UnixPeer, timeout: float) -> None:
    # rootlesskit before 0.14 has no /v1/info. A server with neither request is not rootlesskit.
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
            f"cannot query rootlesskit for {what}: {refusal(answer)}", status=answer.status
        )
