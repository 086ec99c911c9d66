"""Convert records of other packages into those that the checks use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from k3s_rootless.k3s import certificates
from k3s_rootless.k3s.certificates import Renewal
from k3s_rootless.k3s.features import child_to_parent_port
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.paths import FOREGROUND, UNIT
from k3s_rootless.ports.sources import holders
from k3s_rootless.preflight.records import CertificateEnds, Offer, Unit, UnreadLimit, UsedPort
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from k3s_rootless.binaries.facts import Answers
    from k3s_rootless.cluster.certificates.facts import Ends
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.linux.facts import Listener
    from k3s_rootless.service.facts import UnitState

_LIMITS = ("MemoryMax", "TasksMax", "LimitNOFILE")
"""The limits that the checks of the unit judge."""


def used_ports(
    listeners: Iterable[Listener], settings: Settings, uid: int
) -> Observed[tuple[UsedPort, ...]]:
    """Return the ports in use that K3s needs, with their users if visible to user `uid`."""
    needed = {settings.https_port, child_to_parent_port(80), child_to_parent_port(443)}
    listening = [one for one in listeners if one.port in needed and one.proto == "tcp"]
    owners = holders.of(listening, uid=uid)
    found = {
        UsedPort(
            listener.port,
            owner.user or f"uid {owner.uid}",
            owner.program,
            owner.pid,
            ours=owner.unit in {UNIT, FOREGROUND},
            foreign=owner.uid != uid,
        )
        for listener, owner in owners.items()
    }
    ordered = sorted(found, key=lambda one: (one.port, one.pid or 0))
    return Known(tuple(ordered), "the sockets of this host")


def offers(answers: Answers) -> tuple[Offer, ...]:
    """Return the last known answer of K3s's channels in the form that the checks use."""
    return tuple(Offer(one.latest, answers.date_of(one)) for one in answers.channels if one.latest)


def certificate_ends(found: Observed[Ends], now: datetime) -> Observed[CertificateEnds]:
    """Return the ends of K3s's certificates in the form that the checks use."""
    if isinstance(found, Unknown):
        return found
    renewed: dict[str, datetime] = {}
    authorities: dict[str, datetime] = {}
    for one in found.value.files:
        if isinstance(one.ends, Unknown):
            return Unknown(f"{one.name}: {one.ends.reason}")
        match certificates.purpose(one.name).renewal:
            case Renewal.START | Renewal.EACH_START:
                renewed[one.name] = one.ends.value
            case Renewal.NEVER:
                authorities[one.name] = one.ends.value
    return Known(CertificateEnds(now, renewed, authorities, found.value.keyless), found.source)


def unit(found: Observed[UnitState], units: Path) -> Observed[Unit]:
    """Return the unit in the form that the checks use; `units` has the user's own units."""
    if isinstance(found, Unknown):
        return found
    state = found.value
    unread = files.unread_limits(units, state, _LIMITS)
    return Known(
        Unit(
            load_state=state.load_state,
            load_error=state.load_error,
            active_state=state.active_state,
            result=state.result,
            delegate=state.delegate,
            needs_reload=state.needs_reload,
            drop_ins=tuple(map(str, state.drop_ins)),
            environment=state.environment or {},
            argv=state.argv,
            limits=state.limits,
            unread={name: UnreadLimit(*one) for name, one in unread.items()},
        ),
        found.source,
    )
