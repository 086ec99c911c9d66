"""The packets that NetworkPolicies refuse, as K3s logs them, with the names of Pods and policies.

K3s has two rules that log packets to NFLOG group 100 (see `log_rules`). The rule of a policy logs a
packet that this policy does not allow; a policy after it can still allow the packet. The rule of a
Pod logs a packet that no policy of the Pod allows, and the rule after it rejects the packet.
"""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster.policies import log_rules
from k3s_rootless.errors import NotRunning
from k3s_rootless.linux import namespaces, nflog, packets
from k3s_rootless.operations.node import surroundings
from k3s_rootless.operations.policies import enforcement
from k3s_rootless.operations.policies.judgement import Judgement, State, judge
from k3s_rootless.operations.policies.names import Named, Names
from k3s_rootless.operations.readiness.start import Start
from k3s_rootless.printable import json_time, printable

if TYPE_CHECKING:
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.linux.nflog import Packet, Reader
    from k3s_rootless.linux.packets import Headers
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_WHAT = "policies log"
_PAUSE = 5.0
"""Seconds after which the reader of the output is looked at, without a packet."""


class Verdict(Enum):
    """What the rule that logged a packet means."""

    NOT_ALLOWED = "not allowed"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Logged:
    """One logged packet: the headers are None if it is not an IP packet.

    `lost` packets before it could not be read.
    """

    time: datetime
    verdict: Verdict
    headers: Headers | None
    named: Named
    lost: int = 0


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """Marks that no packet is waiting: the next one can take hours."""


Record = Logged | CaughtUp


@contextmanager
def reading(context: Context) -> Iterator[Iterator[Record]]:
    """Read the packets that are logged from now on, without an end.

    Raises NotRunning if K3s does not run, or stops; NotReady; RootlessError.
    """
    state, found = surroundings.read(context)
    child = surroundings.child(context, state, _WHAT)
    api = Start.of(context, state, found.release).find_api()
    _warn(context, found.release, judge(enforcement.observe(context, state, found, child)))
    opened = namespaces.open_child(child, uid=context.uid, unit_group=state.control_group)
    try:
        with closing(_subscribe(context, state, child)) as reader:
            context.notice("waiting for packets that NetworkPolicies refuse")
            yield follow(context, reader, opened, Names(api))
    finally:
        os.close(opened)


def _warn(context: Context, release: Version | None, controller: Judgement) -> None:
    """Report what the log cannot show, before a wait that may have no end."""
    if release is not None and not log_rules.names_policies(release):
        context.notice(
            f"K3s {release} does not log which policy refuses a packet, and ignores limits; the"
            f" first releases that do: {', '.join(map(str, log_rules.NAMED.firsts))}"
        )
    if controller.state is not State.RUNNING:
        context.notice(f"warning: NetworkPolicies may have no effect: {controller.reason}")


def document(one: Logged) -> dict[str, Any]:
    """Return the JSON form of a packet."""
    headers = one.headers
    return {
        "time": json_time(one.time),
        "verdict": one.verdict.value,
        "policies": list(one.named.policies),
        "protocol": None if headers is None else headers.protocol,
        "source": None if headers is None else _end(headers, one.named.source, source=True),
        "destination": None if headers is None else _end(headers, one.named.destination),
        "flags": [] if headers is None else list(headers.flags),
        "lost": one.lost,
    }


def _end(headers: Headers, pod: str, *, source: bool = False) -> dict[str, Any]:
    address, port = headers.destination, headers.destination_port
    if source:
        address, port = headers.source, headers.source_port
    return {"address": address, "port": port, "pod": pod or None}


def _subscribe(context: Context, state: UnitState, child: int) -> Reader:
    group = state.control_group
    with namespaces.verified(child, uid=context.uid, unit_group=group) as directory:
        return nflog.open_in(directory, log_rules.GROUP)


def follow(context: Context, reader: Reader, process: int, names: Names) -> Iterator[Record]:
    """Yield packets until a process ends, of which `process` is a pidfd.

    Raises NotRunning then.
    """
    problem = ""
    yield CaughtUp()
    while True:
        ready, _, _ = select.select([reader.fileno(), process], [], [], _PAUSE)
        for packet in reader.read():
            yield _logged(packet, names)
        if reader.overflowed:
            context.notice("there were more packets than this command could read")
        if names.problem != problem:
            problem = names.problem
            _report(context, problem)
        if process in ready:
            raise NotRunning("K3s stopped", hint="start it with: k3s-rootless up")
        yield CaughtUp()


def _report(context: Context, problem: str) -> None:
    text = "the names of Pods and policies are up to date again"
    if problem:
        text = f"the names of Pods and policies can be old: {problem}"
    context.notice(text)


def _logged(packet: Packet, names: Names) -> Logged:
    verdict = Verdict.NOT_ALLOWED if packet.prefix else Verdict.REJECTED
    found = packets.headers(packet.data)
    prefix = printable(packet.prefix)
    named = Named(policies=log_rules.named(prefix, ()))
    if found is not None:
        named = names.of(found, prefix)
    return Logged(_time(packet), verdict, found, named, packet.lost)


def _time(packet: Packet) -> datetime:
    if packet.time is None:
        return datetime.now(UTC)
    return datetime.fromtimestamp(packet.time, UTC)
