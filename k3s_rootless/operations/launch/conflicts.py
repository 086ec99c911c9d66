"""Tells before a start who is in its way: another K3s, or whoever holds a port that K3s will
want.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from k3s_rootless.errors import PreflightFailed
from k3s_rootless.observation import Known
from k3s_rootless.ports.rules import reasons, startup_conflicts
from k3s_rootless.ports.sources import holders

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


def mind(context: Context, state: UnitState, manager: Mapping[str, str]) -> None:
    """Tell of ports that are taken, with ports that are free.

    Raises PreflightFailed for another K3s with the same data.

    A K3s that runs, or is being stopped, has its ports and its data itself. `manager` is what the
    user manager hands to each unit.
    """
    from k3s_rootless.operations import server_settings
    from k3s_rootless.rootlesskit.facts import LOCK
    from k3s_rootless.rootlesskit.state import is_held

    if state.running or state.active_state == "deactivating":
        return
    settings = server_settings.of_next_start(context, state, manager)
    # One that systemd is about to start again may have the lock by now: it is ours.
    if not state.sub_state.startswith("auto-restart") and is_held(settings.rootlesskit_state):
        raise _second(context, settings.rootlesskit_state / LOCK)
    for line in _busy(context, settings, traefik=settings.traefik):
        context.notice(line)


def _second(context: Context, lock: Path) -> PreflightFailed:
    holder = holders.of_lock(lock, uid=context.uid)
    if holder is None:
        return PreflightFailed(
            f"cannot start K3s: another K3s of yours holds `{lock}`",
            hint=f"see who it is, and end it: ps -fu {context.uid}",
        )
    unit = f" of {holder.unit}" if holder.unit else ""
    own = holder.unit.endswith(".service")
    return PreflightFailed(
        f"cannot start K3s: another K3s of yours, `{holder.program}` (pid {holder.pid}){unit},"
        f" holds `{lock}`",
        hint=f"stop it: {f'systemctl --user stop {holder.unit}' if own else f'kill {holder.pid}'}",
    )


def _busy(context: Context, settings: Settings, *, traefik: bool) -> Iterator[str]:
    from k3s_rootless.operations.ports import sources

    seen = sources.read_host()
    if not isinstance(seen, Known):
        yield f"could not look whether K3s's ports are free: {seen.reason}"
        return
    busy = startup_conflicts.taken(settings, seen.value, traefik=traefik)
    if not busy:
        return
    who = sources.owners(busy.values(), context.uid)
    others = holders.of_k3s()
    for port, listener in busy.items():
        owner = startup_conflicts.owner(who[listener], others, context.uid, reasons.described)
        what = "of its API" if port == settings.https_port else "of traefik"
        yield f"port {port}, which K3s wants for the forward {what}, is taken: {owner} holds it"
    free = startup_conflicts.instead(tuple(busy), seen.value, settings)
    if settings.https_port in free:
        port = free[settings.https_port]
        yield f"free for the API is port {port}: {_setting('https-listen-port', str(port))}"
    if rest := [one for one in free if one != settings.https_port]:
        ports = ", ".join(f"{free[one]} for {one}" for one in rest)
        yield (
            f"start without traefik ({_setting('disable', 'traefik')}), or give its Service ports"
            f" that are free: {ports}"
        )


def _setting(name: str, value: str) -> str:
    return shlex.join(("k3s-rootless", "config", "set", name, value))
