"""The conditions that K3s must meet to be ready, one for each phase of its start.

Each condition has the signal after which another check may have a new result, if there is one.
"""

from __future__ import annotations

import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from k3s_rootless.cluster import access, api, packaged
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.observation import Unknown
from k3s_rootless.operations.readiness import missing, phases, traces
from k3s_rootless.operations.readiness.start import QUERY_SECONDS
from k3s_rootless.operations.readiness.wait import LONGEST_PAUSE, Condition
from k3s_rootless.rootlesskit import client
from k3s_rootless.rootlesskit.state import has_child

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from k3s_rootless.linux.inotify import Directories
    from k3s_rootless.operations.readiness.start import Start

WATCH_SECONDS = 60.0
"""The duration of a watch of the API server; after it, the objects are listed again."""
# File systems round times, some to whole seconds: a file of the same second belongs to this start.
_CLOCK_GRAIN = timedelta(seconds=1)


def of(
    start: Start, until: str = "node", notified: Directories | None = None
) -> tuple[Condition, ...]:
    """Return the conditions up to the phase with the key `until`, in the order of a start.

    `notified` watches the files that do not exist yet; None if the caller checks only once.
    """
    checks = _Checks(start, notified)
    files = notified.wait if notified is not None else None
    queries: Mapping[str, tuple[Callable[[], str | None], Callable[[float], object] | None]] = {
        "unit": (checks.active, None),
        "namespace": (checks.namespace, files),
        "socket": (checks.socket, files),
        "port": (checks.forwarded, None),
        "kubeconfig": (checks.kubeconfig, files),
        "api": (checks.ready, None),
        "node": (checks.node, partial(checks.watch, api.NODES)),
        "deployments": (checks.deployments, partial(checks.watch, api.DEPLOYMENTS)),
    }
    return tuple(
        Condition(phase, *queries[phase.key])
        for phase in phases.up_to(
            until, start.settings.https_port, agentless=start.settings.agentless
        )
    )


class _Checks:
    """The checks of one start; each returns what is missing, or None."""

    def __init__(self, start: Start, notified: Directories | None) -> None:
        self._start = start
        self._notified = notified
        self._version = ""
        self._reports: dict[str, datetime] = {}

    def active(self) -> str | None:
        state = self._start.state
        return None if state.running else f"the unit is {state.active_state}"

    def namespace(self) -> str | None:
        start = self._start
        sockets, began = start.sockets(), start.state.started
        since = began - _CLOCK_GRAIN if began else None

        states = [one.parent for one in sockets]

        def check() -> str | None:
            if has_child(states, since=since):
                return None
            # Releases that create a new directory at each start are recognised by the API socket
            # only.
            if _reason(start.find_rootlesskit) is None:
                return None
            return "rootlesskit has not created its child namespace yet"

        return self._missing(check, *sockets)

    def socket(self) -> str | None:
        start = self._start
        return self._missing(partial(_reason, start.find_rootlesskit), *start.sockets())

    def forwarded(self) -> str | None:
        start = self._start
        try:
            found = client.forwards(start.find_rootlesskit(), QUERY_SECONDS)
        except PeerError as error:
            start.rootlesskit = None
            return error.message
        return missing.port(found, start.settings.https_port)

    def kubeconfig(self) -> str | None:
        start = self._start
        path = start.settings.kubeconfig

        def check() -> str | None:
            try:
                start.api = access.by_kubeconfig(path, uid=start.uid, started=start.state.started)
            except RootlessError as error:
                without = self._not_ready_without_kubeconfig()
                return f"{error.message}; {without}" if without else without
            return None

        return self._missing(check, path)

    def _not_ready_without_kubeconfig(self) -> str | None:
        """Check the API server with K3s's own credentials; return why it is not ready, or None.

        K3s writes the kubeconfig before its API server is ready (its pkg/server, v1.21 to v1.36).
        So, if the API server is ready, K3s wrote the file, and the file was moved or renamed after
        that.
        """
        found = self._start.settings
        try:
            peer = access.by_data_directory(found.data, found.https_port, uid=self._start.uid)
        except RootlessError as error:
            return f"{error.message}; {access.RESTART}"
        answer = api.readyz(peer, QUERY_SECONDS)
        if isinstance(answer, Unknown):
            return answer.reason
        return None if answer.value.ready else "the API server is not ready"

    def ready(self) -> str | None:
        try:
            answer = api.readyz(self._start.find_api(), QUERY_SECONDS)
        except RootlessError as error:
            return error.message
        if isinstance(answer, Unknown):
            self._start.api = None
            return answer.reason
        return missing.api(answer.value)

    def node(self) -> str | None:
        try:
            answer = api.nodes(self._start.find_api(), QUERY_SECONDS)
        except RootlessError as error:
            return error.message
        if isinstance(answer, Unknown):
            return answer.reason
        self._version = answer.value.version
        found = traces.of_this_start(answer.value.items, self._start.state, self._reports)
        first = {node.name: node.reported for node in found if node.reported}
        self._reports = first | self._reports
        return missing.node(found)

    def deployments(self) -> str | None:
        try:
            answer = api.deployments(self._start.find_api(), QUERY_SECONDS)
        except RootlessError as error:
            return error.message
        if isinstance(answer, Unknown):
            return answer.reason
        self._version = answer.value.version
        expected = packaged.deployments(self._start.settings.data)
        return missing.deployments(answer.value.items, expected)

    def watch(self, listing: str, seconds: float) -> bool:
        """Wait for a change of the objects listed last; return whether there was a change.

        Without a watch, waits for at most `seconds`.
        """
        version, self._version = self._version, ""
        try:
            if version and api.wait_change(self._start.find_api(), listing, version, WATCH_SECONDS):
                return True
        except RootlessError:
            pass  # the next check returns the reason
        # The watch failed or ended at once. The pause limits how often the check is repeated.
        time.sleep(min(seconds, LONGEST_PAUSE))
        return False

    def _missing(self, check: Callable[[], str | None], *files: Path) -> str | None:
        # The watch is set up only if something is missing, because the kernel takes 17 ms to remove
        # a watch. After that, the check is repeated: changes before the watch sent no signal.
        missing_now = check()
        if missing_now is not None and self._notified is not None and self._notified.arm(files):
            return check()
        return missing_now


def _reason(find: Callable[[], object]) -> str | None:
    try:
        find()
    except RootlessError as error:
        return error.message
    return None
