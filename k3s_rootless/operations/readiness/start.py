"""A running start of K3s, and the connections to rootlesskit and to the API server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from k3s_rootless.cluster import access
from k3s_rootless.operations import server_settings
from k3s_rootless.rootlesskit import client, state

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.rest import Peer, UnixPeer
    from k3s_rootless.service.facts import UnitState

QUERY_SECONDS = 5.0


@dataclass(slots=True)
class Start:
    """A running unit, its rootlesskit and its API server; each is found when it is first needed."""

    state: UnitState
    settings: Settings
    version: Version | None
    uid: int
    rootlesskit: UnixPeer | None = field(default=None)
    api: Peer | None = field(default=None)

    @classmethod
    def of(cls, context: Context, state: UnitState, version: Version | None) -> Start:
        """Return the start of this unit, with the paths and ports that K3s runs with."""
        return cls(state, server_settings.of(context, state), version, context.uid)

    def sockets(self) -> tuple[Path, ...]:
        """Return the possible paths of rootlesskit's API socket, the most likely path first."""
        return state.sockets(self.settings, self.version, uid=self.uid)

    def find_rootlesskit(self) -> UnixPeer:
        """Return the peer for rootlesskit's API. Raises PeerError."""
        if self.rootlesskit is None:
            self.rootlesskit = client.live_peer(self.sockets(), uid=self.uid, timeout=QUERY_SECONDS)
        return self.rootlesskit

    def find_api(self) -> Peer:
        """Return the API server, found by this start's kubeconfig or K3s's own credentials.

        Raises RootlessError.
        """
        if self.api is None:
            found, started = self.settings, self.state.started
            self.api = access.peer(
                found.kubeconfig, found.data, found.https_port, uid=self.uid, started=started
            )
        return self.api
