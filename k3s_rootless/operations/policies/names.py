"""The names that belong to a packet: its Pods by their addresses, and its policies."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.cluster.policies import log_rules, read, selection
from k3s_rootless.errors import PeerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from k3s_rootless.cluster.policies.facts import PodAddresses, Policy
    from k3s_rootless.linux.packets import Headers
    from k3s_rootless.rest import Peer

FRESH_SECONDS = 1.0
"""Addresses of Pods are used again, so names are only as good as they are new."""
_SHARE = 9
"""An API server that needs long for its answer is queried in a tenth of the time."""


@dataclass(frozen=True, slots=True)
class Named:
    """The names of a packet; a Pod is empty if its address belongs to no Pod."""

    source: str = ""
    destination: str = ""
    policies: tuple[str, ...] = ()


class Names:
    """The Pods and policies of the cluster, read again if they are older than a second.

    In a large cluster they are older: reading them takes at most a tenth of the time. `clock` is
    in seconds.
    """

    def __init__(self, api: Peer, clock: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._clock = clock
        self._fresh_until = -math.inf
        self._policies: tuple[Policy, ...] = ()
        self._pods: dict[str, PodAddresses] = {}
        self.problem = ""

    def of(self, packet: Headers, prefix: str) -> Named:
        """Return the names of a packet; without an answer of the API server, those known before.

        `problem` then has the reason.
        """
        self._refresh()
        source, destination = (self._pods.get(one) for one in (packet.source, packet.destination))
        policies = log_rules.named(prefix, self._policies)
        if not prefix:
            policies = selection.isolating(self._policies, source, destination)
        return Named(_text(source), _text(destination), policies)

    def _refresh(self) -> None:
        begun = self._clock()
        if begun < self._fresh_until:
            return
        try:
            self._policies = read.policies(self._api)
            pods = read.pods(self._api)
            self.problem = ""
        except PeerError as error:
            self.problem = error.message
        else:
            self._pods = {address: pod for pod in pods for address in pod.addresses}
        ended = self._clock()
        self._fresh_until = ended + max(FRESH_SECONDS, _SHARE * (ended - begun))


def _text(pod: PodAddresses | None) -> str:
    return "" if pod is None else pod.text
