"""The sources of `ports`, asked side by side; each may fail alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless import background
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from k3s_rootless.linux.facts import Address, Listener
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.readiness.conditions import Start
    from k3s_rootless.ports.facts import (
        Exposure,
        Holder,
        PodPort,
        PortMap,
        Probe,
        ServicePort,
        Sources,
    )
    from k3s_rootless.ports.rules.exposure import Running
    from k3s_rootless.ports.sources.probe import Target
    from k3s_rootless.rest import UnixPeer
    from k3s_rootless.rootlesskit.facts import Forward
    from k3s_rootless.service.facts import UnitState

T = TypeVar("T")
ASK_SECONDS = 5.0
_DIALS = "127.0.0.1"
"""Where rootlesskit's own port driver connects to, inside."""
NOT_RUNNING = "K3s is not running"
_Inside = tuple["Observed[tuple[Forward, ...]]", "Observed[tuple[Listener, ...]]", str]


def prepare() -> None:
    """Load what the first question takes."""
    from k3s_rootless.cluster import kubeconfig
    from k3s_rootless.operations import server_settings  # noqa: F401 (loaded, as all here, and used where they are asked)
    from k3s_rootless.operations.readiness import conditions as start  # noqa: F401 (loaded, as all here, and used where they are asked)
    from k3s_rootless.service.drop_ins import drop_in  # noqa: F401
    from k3s_rootless.service.observe import files  # noqa: F401
    from k3s_rootless.service.unit import text  # noqa: F401

    kubeconfig.prepare()


def prepare_answer() -> None:
    """Load what is done with the answers."""
    from k3s_rootless.linux import addresses  # noqa: F401
    from k3s_rootless.operations.ports import document  # noqa: F401
    from k3s_rootless.ports.rules import exposure  # noqa: F401
    from k3s_rootless.ports.sources import services  # noqa: F401


def started(context: Context, state: UnitState) -> Start:
    """Give the start of K3s that runs. Raises NotRunning."""
    from k3s_rootless.errors import NotRunning
    from k3s_rootless.operations.readiness.conditions import Start
    from k3s_rootless.service.observe.files import release_of

    if not state.running:
        raise NotRunning(
            "K3s is not running, so nothing is forwarded", hint="start it with: k3s-rootless up"
        )
    return Start.of(context, state, release_of(state.fragment))


def running(start: Start) -> Running:
    """Give what a judge is to know of this start."""
    from k3s_rootless.ports.rules.exposure import Running

    state = start.state
    seconds = (datetime.now(UTC) - state.started).total_seconds() if state.started else None
    return Running(start.settings, start.version, start.uid, state.control_group, seconds)


def ask(start: Start, *, everything: bool = False) -> Sources:
    """Ask all sources at once, and look up who holds the ports that are in the way."""
    # In the order in which they take longest. What is done with the answers is loaded while they
    # are on their way.
    listed = background.begin(lambda: _services(start))
    kit = background.begin(lambda: ask_rootlesskit(start))
    host = background.begin(ask_host)
    prepare_answer()

    from k3s_rootless.linux import sockets
    from k3s_rootless.ports.facts import Sources
    from k3s_rootless.ports.sources import services

    known = listed.result()
    pods: Observed[tuple[PodPort, ...]] = Known(())
    if everything:
        pods = observed(lambda: services.pod_ports(start.find_api(), ASK_SECONDS), "the API server")
    forwards, inside, dials = kit.result()
    sources = Sources(
        forwards,
        known,
        host.result(),
        inside,
        dials,
        pods=pods,
        unprivileged_from=sockets.unprivileged_from(),
    )
    return identified(sources, running(start))


def _services(start: Start) -> Observed[tuple[ServicePort, ...]]:
    from k3s_rootless.ports.sources import services

    return observed(lambda: services.service_ports(start.find_api(), ASK_SECONDS), "the API server")


def ask_rootlesskit(start: Start) -> _Inside:
    """Ask rootlesskit for the forwards, and look into the namespace that it names; with the address
    that it connects to.
    """
    from k3s_rootless.rootlesskit import client

    try:
        peer = start.find_rootlesskit()
    except RootlessError as error:
        return Unknown(error.message), Unknown(error.message), _DIALS
    # The kernel takes its time to list sockets, with much memory 10 ms; rootlesskit answers
    # meanwhile.
    looked = background.begin(lambda: _look_inside(start, peer))
    forwards = observed(lambda: client.forwards(peer, ASK_SECONDS), "rootlesskit")
    inside, dials = looked.result()
    return forwards, inside if isinstance(forwards, Known) else Unknown(forwards.reason), dials


def _look_inside(start: Start, peer: UnixPeer) -> tuple[Observed[tuple[Listener, ...]], str]:
    from k3s_rootless.linux import namespaces
    from k3s_rootless.rootlesskit import client

    dials = _DIALS

    def look() -> tuple[Listener, ...]:
        nonlocal dials
        said = client.info(peer, ASK_SECONDS)
        if said is not None and said.port_driver == "slirp4netns" and said.child_ip:
            dials = said.child_ip
        pid = client.child_pid(peer, said)
        return namespaces.listeners(pid, uid=start.uid, unit_group=start.state.control_group)

    return observed(look, "/proc/PID/net of rootlesskit's child"), dials


def ask_host() -> Observed[tuple[Listener, ...]]:
    """List the sockets of this host."""
    from k3s_rootless.linux import sockets

    return observed(lambda: sockets.listeners(ASK_SECONDS), "the kernel's tables of sockets")


def joined(sources: Sources, start: Start, *, everything: bool = False) -> PortMap:
    """Join what was seen."""
    from k3s_rootless.ports.rules import exposure

    return exposure.join(sources, running(start), everything=everything)


def identified(sources: Sources, of: Running) -> Sources:
    """Look up who holds the sockets that are in the way, if there are any."""
    from k3s_rootless.ports.rules import exposure

    waiting = exposure.in_the_way(sources, of)
    if not waiting:
        return sources
    return replace(sources, holders=whose(waiting, of.uid, of.unit_group))


def whose(listeners: Iterable[Listener], uid: int, unit_group: str = "") -> dict[Listener, Holder]:
    """Return the owners of these sockets; `unit_group` is the control group of K3s's unit."""
    from k3s_rootless.ports.sources import holders

    return dict(holders.of(listeners, uid=uid, unit_group=unit_group))


def addresses() -> Observed[tuple[Address, ...]]:
    """List the addresses of this host."""
    from k3s_rootless.linux import addresses as reader

    return observed(reader.addresses, "the interfaces of this host")


def probed(found: PortMap) -> PortMap:
    """Connect to each forward that the host is said to have, and give the rows as they stand
    then.
    """
    from k3s_rootless.ports.rules import exposure
    from k3s_rootless.ports.sources import probe

    targets = {row: target for row in found.rows if (target := _target(row))}
    met: dict[Target, Probe] = dict(probe.probe(targets.values())) if targets else {}
    rows = tuple(
        exposure.with_probe(row, met[targets[row]]) if row in targets else row for row in found.rows
    )
    return replace(found, rows=rows)


def observed(ask_it: Callable[[], T], source: str) -> Observed[T]:
    """Ask, and give the answer, or why there is none."""
    try:
        return Known(ask_it(), source)
    except RootlessError as error:
        return Unknown(error.message)


def _target(row: Exposure) -> Target | None:
    from k3s_rootless.ports.rules.socket_index import WILD
    from k3s_rootless.ports.sources import probe

    # Only over loopback: at another address of this host the probe would be somebody else's
    # business (a firewall's, a log's).
    if not row.forwarded or row.parent_ip not in {"", "127.0.0.1", "::1", *WILD}:
        return None
    address = "::1" if row.parent_ip == "::1" or row.listens_on == ("::1",) else "127.0.0.1"
    speaks = row.url.partition(":")[0]
    return probe.Target(
        address, row.parent_port, speaks if speaks in {"http", "https", "udp"} else "tcp"
    )
