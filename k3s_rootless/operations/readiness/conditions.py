"""One start of K3s, looked at from all sides: what `up` waits for, `status` shows and `ports`
asks.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations import server_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.linux.inotify import Directories
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.readiness.wait import Phase
    from k3s_rootless.rest import Peer, UnixPeer
    from k3s_rootless.service.facts import UnitState

QUESTION_SECONDS = 5.0
WATCH_SECONDS = 60.0
"""How long one watch lasts; what it watches is then listed anew."""
# File systems round times, some to whole seconds: a kubeconfig of the same second is of this start.
_CLOCK_GRAIN = timedelta(seconds=1)


@dataclass(slots=True)
class Start:
    """A running unit and the peers behind it, each found when it is first asked for."""

    state: UnitState
    settings: Settings
    version: Version | None
    uid: int
    rootlesskit: UnixPeer | None = field(default=None)
    api: Peer | None = field(default=None)
    node: str = ""
    notified: Directories | None = field(default=None)
    _version: str = field(default="")
    _reports: dict[str, datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, context: Context, state: UnitState, version: Version | None) -> Start:
        """Take paths and ports from the unit as systemd runs it, not from what we would have
        written.
        """
        return cls(state, server_settings.of(context, state), version, context.uid)

    def phases(self, until: str = "node") -> Sequence[Phase]:
        """Give what must be true, in the order in which K3s makes it so, up to the one of the key
        `until`.

        Whoever waits sets `notified` first: it is armed when a file is not there yet.
        """
        # Who only asks, as `ports` does, waits for no phase, and need not load what that takes.
        from k3s_rootless.cluster.api import DEPLOYMENTS, NODES
        from k3s_rootless.operations.readiness.phases import KEYS
        from k3s_rootless.operations.readiness.wait import Phase

        https = self.settings.https_port
        files = self.notified.wait if self.notified is not None else None
        phases = (
            Phase("unit active", self._active, "unit"),
            Phase("child namespace", self._namespace, "namespace", files),
            Phase("API socket", self._socket, "socket", files),
            Phase(f"port {https} forwarded", self._forwarded, "port"),
            Phase("kubeconfig of this start", self._kubeconfig, "kubeconfig", files),
            Phase("API server ready", self._ready, "api"),
            Phase("node ready", self._node, "node", partial(self._watch, NODES)),
            Phase(
                "system Deployments available",
                self._deployments,
                "deployments",
                partial(self._watch, DEPLOYMENTS),
            ),
        )
        return phases[: KEYS.index(until) + 1]

    def find_rootlesskit(self) -> UnixPeer:
        """Give rootlesskit's API. Raises PeerError."""
        if self.rootlesskit is None:
            from k3s_rootless.rootlesskit import client

            self.rootlesskit = client.live_peer(
                self._sockets(), uid=self.uid, timeout=QUESTION_SECONDS
            )
        return self.rootlesskit

    def find_api(self) -> Peer:
        """Return the API server, by the kubeconfig of this start or K3s's own credentials.

        Raises RootlessError.
        """
        if self.api is None:
            from k3s_rootless.cluster import access

            found, started = self.settings, self.state.started
            self.api = access.peer(
                found.kubeconfig, found.data, found.https_port, uid=self.uid, started=started
            )
        return self.api

    def _sockets(self) -> tuple[Path, ...]:
        from k3s_rootless.rootlesskit import state

        return state.sockets(self.settings, self.version, uid=self.uid)

    def _found(self, look: Callable[[], str | None], *files: Path) -> str | None:
        # Only where something is missing: to take back a watch takes the kernel 17 ms (it waits for
        # all who may still look at it). And once more when the watch is new, for what came before
        # it.
        missing = look()
        if missing is not None and self.notified is not None and self.notified.arm(files):
            return look()
        return missing

    def _active(self) -> str | None:
        return None if self.state.running else f"the unit is {self.state.active_state}"

    def _namespace(self) -> str | None:
        from k3s_rootless.rootlesskit.state import has_child

        sockets, since = self._sockets(), self.state.started and self.state.started - _CLOCK_GRAIN

        states = [one.parent for one in sockets]

        def look() -> str | None:
            # Releases that make a directory of their own at each start are known by their API
            # socket only.
            there = has_child(states, since=since) or _missing(self.find_rootlesskit) is None
            return None if there else "rootlesskit has made no namespace yet"

        return self._found(look, *sockets)

    def _socket(self) -> str | None:
        return self._found(partial(_missing, self.find_rootlesskit), *self._sockets())

    def _forwarded(self) -> str | None:
        from k3s_rootless.rootlesskit import client

        port = self.settings.https_port
        try:
            found = client.forwards(self.find_rootlesskit(), QUESTION_SECONDS)
        except PeerError as error:
            self.rootlesskit = None
            return error.message
        ours = any(one.parent_port == port and one.proto.startswith("tcp") for one in found)
        return None if ours else f"rootlesskit does not forward port {port} yet"

    def _kubeconfig(self) -> str | None:
        from k3s_rootless.cluster import access

        path, started = self.settings.kubeconfig, self.state.started

        def look() -> str | None:
            try:
                self.api = access.by_kubeconfig(path, uid=self.uid, started=started)
            except RootlessError as error:
                without = self._not_ready_without_kubeconfig()
                return f"{error.message}; {without}" if without else without
            return None

        return self._found(look, path)

    def _not_ready_without_kubeconfig(self) -> str | None:
        """Return why K3s's own credentials do not show an API server that is ready, or None.

        K3s writes the kubeconfig before its API server is ready (its pkg/server, v1.21 to v1.36):
        if the API server is ready, K3s wrote the file, and it was moved or renamed since.
        """
        from k3s_rootless.cluster import access, api

        found = self.settings
        try:
            peer = access.by_data_directory(found.data, found.https_port, uid=self.uid)
        except RootlessError as error:
            return f"{error.message}; {access.RESTART}"
        answer = api.readyz(peer, QUESTION_SECONDS)
        if isinstance(answer, Unknown):
            return answer.reason
        return None if answer.value.ready else "the API server is not ready"

    def _ready(self) -> str | None:
        from k3s_rootless.cluster import api

        try:
            answer = api.readyz(self.find_api(), QUESTION_SECONDS)
        except RootlessError as error:
            return error.message
        if isinstance(answer, Unknown):
            self.api = None
            return answer.reason
        return (
            None
            if answer.value.ready
            else f"the API server is not ready: {', '.join(answer.value.failing)}"
        )

    def _node(self) -> str | None:
        from k3s_rootless.cluster import api
        from k3s_rootless.operations.readiness import traces as phases

        try:
            answer = api.nodes(self.find_api(), QUESTION_SECONDS)
        except RootlessError as error:
            return error.message
        if isinstance(answer, Unknown):
            return answer.reason
        self._version = answer.value.version
        found = phases.of_this_start(answer.value.items, self.state, self._reports)
        self._reports = {
            node.name: node.reported for node in found if node.reported
        } | self._reports
        ready = next((node for node in found if node.ready), None)
        if ready is None:
            return (
                "; ".join(f"node {node.name}: {node.reason}" for node in found)
                or "no node has registered yet"
            )
        self.node = ready.name
        return None

    def _deployments(self) -> str | None:
        from k3s_rootless.cluster import api, packaged

        try:
            answer = api.deployments(self.find_api(), QUESTION_SECONDS)
        except RootlessError as error:
            return error.message
        if isinstance(answer, Unknown):
            return answer.reason
        self._version = answer.value.version
        found = answer.value.items
        expected = packaged.deployments(self.settings.data)
        if isinstance(expected, Unknown) and not found:
            return (
                f"there is no Deployment, and nobody can tell which are to come: {expected.reason}"
            )
        absent = sorted(
            (expected.value if isinstance(expected, Known) else set()) - {one.name for one in found}
        )
        missing = [f"{one.name}: {one.reason}" for one in found if not one.available]
        missing += [f"{name}: it has not been made yet" for name in absent]
        return "; ".join(missing) or None

    def _watch(self, listing: str, seconds: float) -> bool:
        from k3s_rootless.cluster import api
        from k3s_rootless.operations.readiness.wait import LONGEST_PAUSE

        version, self._version = self._version, ""
        try:
            if version and api.wait_change(self.find_api(), listing, version, WATCH_SECONDS):
                return True
        except RootlessError:
            pass  # the next question tells why
        # It could not be watched, or the watch ended at once: ask again, and not a thousand times a
        # second.
        time.sleep(min(seconds, LONGEST_PAUSE))
        return False


def _missing(find: Callable[[], object]) -> str | None:
    try:
        find()
    except RootlessError as error:
        return error.message
    return None
