"""The supervisor of K3s: requests with the token of the server (K3s pkg/server/handlers)."""

from __future__ import annotations

from dataclasses import dataclass

from .cluster import Object
from .encryption import Encryption
from .etcd import Etcd
from .objects import status
from .passwords import Passwords
from .resources import Refused

PREFIX = "/v1-k3s"


SNAPSHOT = "/db/snapshot"


@dataclass(frozen=True)
class Control:
    """What the supervisor answers about, and changes."""

    passwords: Passwords
    encryption: Encryption
    etcd: Etcd

    def answer(
        self, method: str, path: str, authorization: str | None, body: bytes, *, ready: bool
    ) -> Object | None:
        """Answer a request: None is an answer without a body."""
        self.passwords.require_server(authorization)
        match method, path.removeprefix(PREFIX):
            case "POST", "/db/snapshot":
                return self.etcd.answer(body)
            case "PUT", "/token":
                self.passwords.rotate(body)
                return None
            case _, "/token" | "/encrypt/status" | "/encrypt/config" if not ready:
                raise Refused(status(503, "ServiceUnavailable", "runtime core not ready"))
            case "GET", "/encrypt/status":
                return self.encryption.status()
            case "PUT", "/encrypt/config":
                self.encryption.change(body)
                return None
        raise Refused(status(405, "MethodNotAllowed", "method not allowed"))
