"""Judges whether a node's report that it is ready is of the present start of K3s.

The API server keeps the node of the start before, with its condition `Ready`, until the kubelet of
this start reports. The kubelet does so at once when it starts, and every five minutes from then on
(nodeStatusReportFrequency); each report stamps the condition's lastHeartbeatTime, in whole seconds
of the host's clock. The node's Lease is no evidence: it is renewed before the kubelet reports its
state.

The clock of a host may be set while K3s runs: a Raspberry Pi has no battery for it, and begins at
the time of its last shutdown. So a start has two spans in which it can have made a report: by the
clock that was there when it began, and by the clock that is there now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from k3s_rootless.cluster.facts import Node

_GRAIN = timedelta(seconds=1)
_STEP = timedelta(seconds=2)
"""A larger difference between the two spans means that the clock was set, not slewed or read a
moment later.
"""
_CONFIRMED = timedelta(minutes=5)
"""After this time K3s's own node controller has marked a node that did not report (50 s,
node-monitor-grace-period).
"""
EARLIER = "its last report is of an earlier start of K3s"
UNDECIDED = (
    "its last report may be of an earlier start of K3s: the clock of this host was set meanwhile"
)


@dataclass(frozen=True, slots=True)
class Running:
    """A start of K3s that runs: when it began by the clock of that time, now, and how long it has
    run.

    `elapsed` is measured by a clock that no one sets (CLOCK_BOOTTIME); None if it is not known.
    """

    started: datetime
    now: datetime
    elapsed: timedelta | None


def judged(
    nodes: Iterable[Node], start: Running | None, first: Mapping[str, datetime]
) -> tuple[Node, ...]:
    """Return the nodes as this start knows them: one that is ready by an older report is not known
    to be ready.

    `first` are the first reports, by node, that were seen since this start runs: one that has
    changed since was made by this start, whatever the clock says. Without a start, nothing is known
    to be older.
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
    """Return whether a report was made by a start; None if the clock was set, and neither span
    holds it.
    """
    if start.elapsed is None:
        return reported + _GRAIN > start.started
    then = start.started, start.started + start.elapsed
    now = start.now - start.elapsed, start.now
    if abs(start.now - then[1]) < _STEP:
        return then[0] < reported + _GRAIN and reported <= start.now + _GRAIN
    if any(first - _GRAIN < reported <= last + _GRAIN for first, last in (then, now)):
        return True
    return None
