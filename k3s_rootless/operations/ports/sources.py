"""The sources of `ports`, read concurrently; each can fail separately."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless import background
from k3s_rootless.errors import NotRunning, RootlessError
from k3s_rootless.linux import child_listeners, sockets
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.readiness.start import Start
from k3s_rootless.ports.facts import PodPort, Running, ServicePort, Sources
from k3s_rootless.ports.sources import holders, services
from k3s_rootless.rootlesskit import client
from k3s_rootless.service.observe.files import release_of

if TYPE_CHECKING:
    from k3s_rootless.linux.facts import Listener
    from k3s_rootless.operations.context import Context
    from k3s_rootless.ports.facts import Holder
    from k3s_rootless.rest import UnixPeer
    from k3s_rootless.rootlesskit.facts import Forward
    from k3s_rootless.service.facts import UnitState

T = TypeVar("T")
SECONDS = 5.0
"""The time limit of each source in seconds."""
NOT_RUNNING = "K3s is not running"
_API = "the API server"
_NO_AGENT = "K3s runs without its agent"
_NO_PODS: Observed[tuple[PodPort, ...]] = Known(())
_DIALS = "127.0.0.1"
"""The address in the child namespace that rootlesskit's own port driver connects to."""


@dataclass(frozen=True, slots=True)
class Kit:
    """The forwards of rootlesskit, and the sockets in its namespace.

    `dials` is the address that rootlesskit connects to in the namespace.
    """

    forwards: Observed[tuple[Forward, ...]]
    inside: Observed[tuple[Listener, ...]]
    dials: str = _DIALS


@dataclass(frozen=True, slots=True)
class Reading:
    """Sources that are being read, each in a thread."""

    start: Start
    services: background.BackgroundQuery[Observed[tuple[ServicePort, ...]]]
    kit: background.BackgroundQuery[Kit]
    host: background.BackgroundQuery[Observed[tuple[Listener, ...]]]

    def result(self, *, everything: bool = False) -> Sources:
        """Wait for the sources; with `everything`, also read the Pods."""
        found = self.services.result()
        pods = _NO_PODS
        if everything:
            pods = read_pods(self.start)
        kit = self.kit.result()
        return combined(kit, found, self.host.result(), pods)


def require_running(state: UnitState) -> None:
    """Raise NotRunning if K3s does not run."""
    if not state.running:
        raise NotRunning(
            "K3s is not running, so no port is forwarded", hint="start it with: k3s-rootless up"
        )


def start_of(context: Context, state: UnitState) -> Start:
    """Return the start of K3s that a unit runs."""
    return Start.of(context, state, release_of(state.fragment))


def running(start: Start) -> Running:
    """Return the facts of this start that the evaluation of the ports needs."""
    state = start.state
    seconds = None
    if state.started:
        seconds = (datetime.now(UTC) - state.started).total_seconds()
    return Running(start.settings, start.version, start.uid, state.control_group, seconds)


def begin(start: Start) -> Reading:
    """Start to read all sources, the slowest first."""
    return Reading(
        start,
        background.begin(lambda: read_services(start)),
        background.begin(lambda: read_rootlesskit(start)),
        background.begin(read_host),
    )


def combined(
    kit: Kit,
    found: Observed[tuple[ServicePort, ...]],
    host: Observed[tuple[Listener, ...]],
    pods: Observed[tuple[PodPort, ...]] = _NO_PODS,
) -> Sources:
    """Combine the answers of the sources in one record."""
    return Sources(
        kit.forwards,
        found,
        host,
        kit.inside,
        kit.dials,
        pods=pods,
        unprivileged_from=sockets.unprivileged_from(),
    )


def without_k3s(reason: str, host: Observed[tuple[Listener, ...]]) -> Sources:
    """Return the sources without K3s: only the host's sockets, and `reason` for the others."""
    nothing = Unknown(reason)
    return combined(Kit(nothing, nothing), nothing, host)


def read_services(start: Start) -> Observed[tuple[ServicePort, ...]]:
    """List the ports of all Services of the cluster."""
    return _observed(lambda: services.service_ports(start.find_api(), SECONDS), _API)


def read_pods(start: Start) -> Observed[tuple[PodPort, ...]]:
    """List the hostPorts of all Pods of the cluster."""
    return _observed(lambda: services.pod_ports(start.find_api(), SECONDS), _API)


def read_rootlesskit(start: Start) -> Kit:
    """List rootlesskit's forwards, and the sockets in the namespace that it reports."""
    if start.settings.agentless:
        return Kit(Known((), _NO_AGENT), Known((), _NO_AGENT))
    try:
        peer = start.find_rootlesskit()
    except RootlessError as error:
        reason = Unknown(error.message)
        return Kit(reason, reason)
    # On hosts with much memory, the kernel takes 10 ms to list sockets; rootlesskit answers
    # meanwhile.
    child = background.begin(lambda: _read_child(start, peer))
    forwards = _observed(lambda: client.forwards(peer, SECONDS), "rootlesskit")
    inside, dials = child.result()
    if isinstance(forwards, Unknown):
        inside = Unknown(forwards.reason)
    return Kit(forwards, inside, dials)


def read_host() -> Observed[tuple[Listener, ...]]:
    """List the sockets of this host."""
    return _observed(lambda: sockets.listeners(SECONDS), "the kernel's tables of sockets")


def owners(listeners: Iterable[Listener], uid: int, unit_group: str = "") -> dict[Listener, Holder]:
    """Return the owners of these sockets; `unit_group` is the control group of K3s's unit."""
    return dict(holders.of(listeners, uid=uid, unit_group=unit_group))


def with_owners(sources: Sources, listeners: Iterable[Listener], of: Running) -> Sources:
    """Return the sources with the owners of these sockets of the host."""
    found = owners(listeners, of.uid, of.unit_group)
    if not found:
        return sources
    return replace(sources, holders=found)


def _read_child(start: Start, peer: UnixPeer) -> tuple[Observed[tuple[Listener, ...]], str]:
    dials = _DIALS
    try:
        info = client.info(peer, SECONDS)
        if info is not None and info.port_driver == "slirp4netns" and info.child_ip:
            dials = info.child_ip
        pid = client.child_pid(peer, info)
        group = start.state.control_group
        found = child_listeners.listeners(pid, uid=start.uid, unit_group=group)
    except RootlessError as error:
        return Unknown(error.message), dials
    return Known(found, "/proc/PID/net of rootlesskit's child"), dials


def _observed(read: Callable[[], T], source: str) -> Observed[T]:
    try:
        return Known(read(), source)
    except RootlessError as error:
        return Unknown(error.message)
