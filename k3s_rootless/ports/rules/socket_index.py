"""The sockets of the host and of the child namespace, indexed by port.

The index shows which process uses a port, and whether a program listens on it.
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
LOOPBACK = frozenset({"127.0.0.1", "::1"})
Key = tuple[str, int]
"""Protocol (tcp or udp) and port."""


@dataclass(frozen=True, slots=True)
class SocketIndex:
    """The sockets by port, their owners, and the limits of the user.

    `why` is the reason if the sockets of the host could not be read, else None. `child` is None if
    the sockets inside could not be read. `starting` is the reason for a forward that is missing
    because K3s is still starting, else empty.
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
    def of(cls, sources: Sources, uid: int) -> SocketIndex:
        """Index the sockets of the sources by port; the forwards belong to `uid`."""
        why = None
        if isinstance(sources.listeners, Unknown):
            why = sources.listeners.reason
        child = None
        if not isinstance(sources.inside, Unknown):
            child = _by_port(sources.inside)
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
        """Return the sockets of the host that can serve a forward.

        Such a socket belongs to the user of K3s and listens at the address of the forward.
        """
        return tuple(
            one
            for one in self.host.get(key, ())
            if one.uid == self.uid and (one.address in WILD or one.address == parent_ip)
        )

    def listening(self, key: Key, parent_ip: str) -> bool | None:
        """Return whether the host listens for a forward; None if its sockets are not known."""
        if self.why is not None:
            return None
        return bool(self.serving(key, parent_ip))

    def in_use(self, key: Key) -> bool | None:
        """Return whether any process uses this port; None if the host's sockets are not known."""
        if self.why is not None:
            return None
        return bool(self.host.get(key))

    def addresses(self, key: Key, parent_ip: str) -> tuple[str, ...]:
        """Return the addresses at which the host listens for a forward, sorted."""
        return tuple(sorted({one.address for one in self.serving(key, parent_ip)}))

    def holder(self, key: Key) -> Holder | None:
        """Return the owner of a port, or None if the port is free.

        A socket of another user comes first, because only that user can free the port.
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

    def used_by_k3s(self, key: Key) -> bool:
        """Return whether a process of K3s's own unit listens on a port.

        Such a process is rootlesskit, or its slirp4netns.
        """
        listeners = self.host.get(key, ())
        return any(one in self.holders and self.holders[one].of_unit for one in listeners)

    def inside(self, proto: str, port: int, child_ip: str) -> bool | None:
        """Return whether a socket inside receives what rootlesskit forwards to a port.

        None if the sockets inside are not known.
        """
        if self.child is None:
            return None
        accepted = {*WILD, child_ip or self.dials}
        return any(one.address in accepted for one in self.child.get((proto, port), ()))


def key_of(forward: Forward) -> Key:
    """Return the protocol and the host port of a forward.

    rootlesskit's tcp4 and tcp6 name an address family; both use the same port.
    """
    return (printable(forward.proto).removesuffix("4").removesuffix("6"), forward.parent_port)


def _by_port(observed: Observed[tuple[Listener, ...]]) -> dict[Key, list[Listener]]:
    found: dict[Key, list[Listener]] = {}
    if isinstance(observed, Unknown):
        return found
    for one in observed.value:
        found.setdefault((one.proto, one.port), []).append(one)
    return found
