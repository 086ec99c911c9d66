"""Let the Pods end before K3s stops, each within its own grace period."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from k3s_rootless.cluster import ending, pods
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.operations.readiness.start import Start
from k3s_rootless.rest import TlsPeer
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from k3s_rootless.cluster.facts import Pod
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_MARGIN = 10.0
"""Seconds beyond the grace period: the kubelet and the API server need a moment."""
_PAUSE = 0.25
_LISTED = 3
KILLED = (
    "stopping K3s kills all Pods at once; to let them end first, use: k3s-rootless down --grace"
)


@contextmanager
def ended(context: Context, state: UnitState, seconds: float | None) -> Iterator[None]:
    """End the Pods of a running K3s, before the body stops K3s.

    Waits for the longest grace period, or at most `seconds`; None ends no Pods. Meanwhile, no new
    Pod starts. Raises RootlessError if the API server does not answer; K3s is then left as it was.
    """
    if seconds is None or not state.running:
        yield
        return
    try:
        api = Start.of(context, state, files.release_of(state.fragment)).find_api()
        if not isinstance(api, TlsPeer):
            raise PeerError("the API server has no TLS")
        end_pods(context, api, seconds)
    except RootlessError as error:
        raise RootlessError(
            f"cannot end the Pods: {error.message}",
            hint="stop K3s without waiting for them: k3s-rootless down",
        ) from error
    yield


def end_pods(context: Context, api: TlsPeer, seconds: float) -> None:
    """End the Pods, and wait until they have ended, at most `seconds`. Raises RootlessError."""
    ours = _cordoned(api)
    try:
        _end_all(context, api, seconds)
    finally:
        # K3s keeps the node. Without this, no Pod would start after the next start of K3s.
        for node in ours:
            ending.cordon(api, node, on=False)


def _cordoned(api: TlsPeer) -> tuple[str, ...]:
    """Let no new Pod start, and return the nodes for which this must be undone.

    A node that the user has cordoned stays so. One that an interrupted command has marked does not.
    """
    ours = []
    for one in pods.schedules(api):
        if not one.cordoned:
            ending.cordon(api, one.node, on=True)
        if one.marked or not one.cordoned:
            ours.append(one.node)
    return tuple(ours)


def _end_all(context: Context, api: TlsPeer, seconds: float) -> None:
    found = pods.running(api)
    asked = tuple(one for one in found if not one.by_daemon_set)
    for pod in asked:
        ending.end(api, pod)
    if not asked:
        context.notice("no Pods need time to end")
        return
    limit = min(seconds, max(one.grace for one in asked) + _MARGIN)
    left = _wait(context, api, asked, limit)
    if left:
        context.notice(f"{_names(left)} did not end within {limit:g} s; stopping K3s kills them")
    else:
        context.notice("all Pods have ended")


def _wait(context: Context, api: TlsPeer, asked: tuple[Pod, ...], limit: float) -> tuple[Pod, ...]:
    """Wait until the Pods have ended, and return those that have not."""
    deadline = time.monotonic() + limit
    left = asked
    context.notice(f"waiting at most {limit:g} s for {_names(left)} to end")
    while left and time.monotonic() < deadline:
        time.sleep(_PAUSE)
        existing = {one.uid for one in pods.running(api)}
        still = tuple(one for one in left if one.uid in existing)
        if still and len(still) < len(left):
            context.notice(f"{_names(still)} left")
        left = still
    return left


def _names(found: tuple[Pod, ...]) -> str:
    names = ", ".join(one.text for one in found[:_LISTED])
    more = len(found) - _LISTED
    if more > 0:
        names += f" and {more} more"
    word = "Pods"
    if len(found) == 1:
        word = "Pod"
    return f"{len(found)} {word} ({names})"
