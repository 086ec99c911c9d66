"""Gives what other subjects found as the records that the judges of `check` know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.records import Held, Unit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.linux.facts import Listener
    from k3s_rootless.service.facts import UnitState


def held(
    found: Iterable[Listener] | Unknown, server: Settings, uid: int
) -> Observed[tuple[Held, ...]]:
    """Give who holds the ports that K3s wants, of the listening sockets of the host, as far as user
    `uid` can see it.
    """
    if isinstance(found, Unknown):
        return found
    from k3s_rootless.k3s.features import child_to_parent_port
    from k3s_rootless.ports.sources import holders

    wanted = {server.https_port, child_to_parent_port(80), child_to_parent_port(443)}
    listening = [one for one in found if one.port in wanted and one.proto == "tcp"]
    owners = holders.of(listening, uid=uid)
    told = {
        Held(
            one.port,
            holder.user or f"uid {holder.uid}",
            holder.program,
            holder.pid,
            ours=holder.unit == UNIT,
            foreign=holder.uid != uid,
        )
        for one, holder in owners.items()
    }
    return Known(
        tuple(sorted(told, key=lambda one: (one.port, one.pid or 0))), "the sockets of this host"
    )


def unit(found: Observed[UnitState]) -> Observed[Unit]:
    """Give the unit."""
    if isinstance(found, Unknown):
        return found
    state = found.value
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
        ),
        found.source,
    )
