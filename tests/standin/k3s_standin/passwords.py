"""The tokens of the server and of agents: K3s's files, its datastore, and `PUT /v1-k3s/token`.

Source: K3s pkg/daemons/control/deps (genUsers), pkg/server (printTokens), pkg/server/handlers
(token.go), pkg/authenticator and pkg/cluster/storage.go. K3s reads the passwords of its clients at
its start only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from typing import Any

from . import kept, kine
from .certificates import write_private
from .flags import Flags
from .objects import status
from .resources import Refused

_NORMALIZED = (
    "failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or"
    " <PASSWORD>"
)


class Passwords:
    """The passwords of the users `server` and `node`."""

    def __init__(self, flags: Flags) -> None:
        self._data = flags.data_dir
        self._agent = kept.token_of(flags.text("agent-token"))
        own = (self._data / "server" / "token").read_text().strip()
        server = kept.token_of(kept.given_token(flags)) or kept.token_of(own)
        self._users = {"server": server, "node": self._agent or server}
        self._write(server, self._users["node"])
        key = kept.bootstrap_key(server)
        if key not in kine.names(kept.database(self._data), key):
            kine.store(kept.database(self._data), key, b"encrypted")

    def require_server(self, authorization: str | None) -> None:
        """Refuse a request without the password of the user `server`."""
        if authorization is None:
            raise Refused(status(403, "Forbidden", "forbidden"))
        kind, _, credentials = authorization.partition(" ")
        user, _, password = base64.b64decode(credentials).decode().partition(":")
        expected = self._users.get(user, "")
        if kind != "Basic" or not hmac.compare_digest(expected.encode(), password.encode()):
            raise Refused(status(401, "Unauthorized", "not authorized"))

    def rotate(self, body: bytes) -> None:
        """Replace the password of the server in K3s's files and its datastore."""
        request: dict[str, Any] = json.loads(body)
        new = request["newToken"] or secrets.token_hex(16)
        if new.startswith("K10") and not kept.token_of(new):
            raise _error(_NORMALIZED)
        new = kept.token_of(new)
        old = self._read()["server"]
        self._write(new, self._agent or new)
        database = kept.database(self._data)
        if new != old:
            kine.store(database, kept.bootstrap_key(new), b"encrypted again")
            kine.remove(database, kept.bootstrap_key(old))

    def _read(self) -> dict[str, str]:
        lines = (self._data / "server" / "cred" / "passwd").read_text().splitlines()
        return {line.split(",")[1]: line.split(",")[0] for line in lines}

    def _write(self, server: str, node: str) -> None:
        rows = f"{server},server,server,k3s:server\n{node},node,node,k3s:agent\n"
        write_private(self._data / "server" / "cred" / "passwd", rows.encode())
        authority = self._data / "server" / "tls" / "server-ca.crt"
        digest = hashlib.sha256(authority.read_bytes()).hexdigest()
        directory = self._data / "server"
        write_private(directory / "token", f"K10{digest}::server:{server}\n".encode())
        agent = directory / "agent-token"
        if self._agent:
            agent.unlink(missing_ok=True)
            write_private(agent, f"K10{digest}::node:{node}\n".encode())
        elif not agent.is_symlink():
            agent.unlink(missing_ok=True)
            agent.symlink_to(directory / "token")


def _error(message: str) -> Refused:
    return Refused(status(500, "InternalError", f"Internal error occurred: {message}"))
