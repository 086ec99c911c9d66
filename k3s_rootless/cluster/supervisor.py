"""The supervisor of K3s: it changes the token of the server, and the encryption of Secrets.

`k3s token rotate` and `k3s secrets-encrypt` send these requests (K3s pkg/clientaccess and
pkg/server/handlers, v1.24 to v1.36). K3s takes the new token from a command line only, which other
users can read. In a request, no other user sees it.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster import access
from k3s_rootless.errors import PeerError
from k3s_rootless.rest import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from k3s_rootless.rest import Answer, TlsPeer

TOKEN = "/v1-k3s/token"  # noqa: S105 (a path)
ENCRYPTION = "/v1-k3s/encrypt/status"
ENCRYPTION_CHANGE = "/v1-k3s/encrypt/config"
_USER = "server"
_REFUSED = frozenset({401, 403})
_JSON = "application/json"
RESTART = "restart K3s, which reads its token at a start only: k3s-rootless restart"


def peer(data: Path, port: int, password: str, *, uid: int) -> TlsPeer:
    """Return the supervisor, verified by K3s's own authority in the data directory.

    `password` is that of the server's token with which the running K3s was started. Raises
    RootlessError.
    """
    credentials = base64.b64encode(f"{_USER}:{password}".encode("utf-8", "surrogateescape"))
    found = access.by_data_directory(data, port, uid=uid)
    return replace(found, authorization=f"Basic {credentials.decode('ascii')}")


def rotate_token(supervisor: TlsPeer, new: str, *, timeout: float) -> None:
    """Encrypt the datastore with a new token, and write it to K3s's files. Raises PeerError.

    The error has a status if K3s refused the request.
    """
    _change(supervisor, TOKEN, {"newToken": new}, timeout)


def encryption(supervisor: TlsPeer, *, timeout: float) -> dict[str, Any]:
    """Return the state of the encryption of Secrets. Raises PeerError."""
    answer = supervisor.get(ENCRYPTION, timeout=timeout)
    _require_success(answer)
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PeerError("K3s's answer about the encryption of Secrets is not valid JSON")
    return found


def change_encryption(supervisor: TlsPeer, change: Mapping[str, Any], *, timeout: float) -> None:
    """Send a change of the encryption of Secrets. Raises PeerError, as `rotate_token` does."""
    _change(supervisor, ENCRYPTION_CHANGE, change, timeout)


def _change(supervisor: TlsPeer, path: str, content: Mapping[str, Any], timeout: float) -> None:
    body = json.dumps(content).encode("ascii")
    _require_success(supervisor.change("PUT", path, body, _JSON, timeout=timeout))


def _require_success(answer: Answer) -> None:
    if answer.status == 200:
        return
    if answer.status in _REFUSED:
        raise PeerError(
            f"K3s does not accept its token: {refusal(answer)}",
            status=answer.status,
            hint=RESTART,
        )
    raise PeerError(refusal(answer), status=answer.status)
