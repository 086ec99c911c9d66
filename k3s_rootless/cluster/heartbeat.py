"""The check whether a node's report that it is ready comes from the present start of K3s.

After a restart, the API server still has the node with its old condition `Ready`, until the kubelet
of this start reports. The kubelet reports at once when it starts, and then every five minutes
(nodeStatusReportFrequency). Each report sets the condition's lastHeartbeatTime, in whole seconds of
the host's clock. The node's Lease is no evidence: it is renewed before the kubelet reports its
state.

The clock of a host can be set while K3s runs: a Raspberry Pi has no battery for its clock, and
boots with the time of its last shutdown. So there are two spans in which a start can have made a
report: by the clock at the beginning of the start, and by the clock now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from k3s_rootless.cluster.facts import Node

_GRAIN = timedelta(seconds=1)
_STEP = timedelta(seconds=2)
"""The smallest difference between the two spans that means that the clock was set.

A smaller difference comes from a clock that was slewed, or read a moment later.
"""
_CONFIRMED = timedelta(minutes=5)
"""The time after which K3s's own node controller has marked a node that does not report.

The controller does so after 50 s (node-monitor-grace-period).
"""
EARLIER = "its last status report is from an earlier start of K3s"
UNDECIDED = (
    "its last status report may be from an earlier start of K3s: the clock of this host was set"
    " during the current start"
)


@dataclass(frozen=True, slots=True)
class Running:
    """A running start of K3s.

    `started` is its beginning by the clock of that time, `now` the time now. `elapsed` is how long
    it has run, by a clock that cannot be set (CLOCK_BOOTTIME); None if it is not known.
    """

    started: datetime
    now: datetime
    elapsed: timedelta | None


def judged(
    nodes: Iterable[Node], start: Running | None, first: Mapping[str, datetime]
) -> tuple[Node, ...]:
    """Return the nodes; one that is ready only by a stale report is not known to be ready.

    `first` holds the first report of each node that was seen during this start. If a report has
    changed since then, this start made it, whatever its time. Without a start, no report counts as
    stale.
    """
    if start is None:
        return tuple(nodes)
    return tuple(_judged(node, start, first.get(node.name)) for node in nodes)


def _judged(node: Node, start: Running, first: datetime | None) -> Node:
    if not node.ready or node.reported is None or (first is not None and first != node.reported):
        return node
    of_this_start = _is_of(node.reported, start)
    if of_this_start or (of_this_start is None and start.elapsed and start.elapsed > _CONFIRMED):
        return node
    return replace(node, ready=None, reason=UNDECIDED if of_this_start is None else EARLIER)


def _is_of(reported: datetime, start: Running) -> bool | None:
    """Return whether a start made a report; None if the clock was set and neither span fits."""
    if start.elapsed is None:
        return reported + _GRAIN > start.started
    then = start.started, start.started + start.elapsed
    now = start.now - start.elapsed, start.now
    if abs(start.now - then[1]) < _STEP:
        return then[0] < reported + _GRAIN and reported <= start.now + _GRAIN
    if any(first - _GRAIN < reported <= last + _GRAIN for first, last in (then, now)):
        return True
    return None
