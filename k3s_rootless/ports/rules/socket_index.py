"""What a judge sees of the host's sockets and of those inside: who holds a port, and whether
somebody listens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.ports.facts import Holder, Sources
from k3s_rootless.printable import printable
from k3s_rootless.rootlesskit.facts import Forward

WILD = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)
Key = tuple[str, int]
"""Protocol (tcp or udp) and port."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The sockets by port; `why` says why those of the host are not known, and is None when they
    are.

    `starting` is the reason for a forward that is missing because K3s is still starting, else
    empty.
    """

    host: Mapping[Key, Sequence[Listener]]
    why: str | None
    child: Mapping[Key, Sequence[Listener]] | None
    dials: str
    holders: Mapping[Listener, Holder]
    uid: int
    unprivileged_from: int
    starting: str = ""

    @classmethod
    def of(cls, sources: Sources, uid: int) -> Sight:
        """Sort the sockets of the sources by port; the forwards are those of `uid`."""
        why = sources.listeners.reason if isinstance(sources.listeners, Unknown) else None
        child = None if isinstance(sources.inside, Unknown) else _by_port(sources.inside)
        return cls(
            _by_port(sources.listeners),
            why,
            child,
            sources.dials,
            sources.holders,
            uid,
            sources.unprivileged_from,
        )

    def serving(self, key: Key, parent_ip: str) -> tuple[Listener, ...]:
        """Give the sockets of the host that can be a forward's: of our user, and at its address."""
        return tuple(
            one
            for one in self.host.get(key, ())
            if one.uid == self.uid and (one.address in WILD or one.address == parent_ip)
        )

    def listening(self, key: Key, parent_ip: str) -> bool | None:
        """Tell whether the host listens for a forward; None when nobody could look."""
        return None if self.why is not None else bool(self.serving(key, parent_ip))

    def held(self, key: Key) -> bool | None:
        """Tell whether anybody has this port; None when nobody could look."""
        return None if self.why is not None else bool(self.host.get(key))

    def addresses(self, key: Key, parent_ip: str) -> tuple[str, ...]:
        """List the addresses at which the host listens for a forward."""
        return tuple(sorted({one.address for one in self.serving(key, parent_ip)}))

    def holder(self, key: Key) -> Holder | None:
        """Name who else holds a port: somebody else's socket first, since that is the one to go and
        ask about.
        """
        found = min(
            self.host.get(key, ()),
            key=lambda one: (one.uid == self.uid, one.uid, one.address, one.inode or 0),
            default=None,
        )
        if found is None:
            return None
        known = self.holders.get(found, Holder(found.uid))
        return replace(known, address=printable(found.address))

    def held_by_k3s(self, key: Key) -> bool:
        """Return whether a process of K3s's own unit listens on a port: rootlesskit, or its
        slirp4netns.
        """
        listeners = self.host.get(key, ())
        return any(one in self.holders and self.holders[one].of_unit for one in listeners)

    def inside(self, proto: str, port: int, child_ip: str) -> bool | None:
        """Tell whether a socket inside takes what rootlesskit forwards to a port; None when nobody
        could look.
        """
        if self.child is None:
            return None
        wanted = {*WILD, child_ip or self.dials}
        return any(one.address in wanted for one in self.child.get((proto, port), ()))


def key_of(forward: Forward) -> Key:
    """Give what a forward takes: rootlesskit's tcp4 and tcp6 name a family of addresses; the port
    is one and the same.
    """
    return (printable(forward.proto).removesuffix("4").removesuffix("6"), forward.parent_port)


def _by_port(observed: Observed[tuple[Listener, ...]]) -> dict[Key, list[Listener]]:
    found: dict[Key, list[Listener]] = {}
    for one in () if isinstance(observed, Unknown) else observed.value:
        found.setdefault((one.proto, one.port), []).append(one)
    return found
