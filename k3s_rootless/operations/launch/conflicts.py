"""Report conflicts before a start: another K3s, or another program on a port of K3s."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from k3s_rootless.errors import PreflightFailed
from k3s_rootless.observation import Known
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.ports import sources
from k3s_rootless.ports.rules import reasons, startup_conflicts
from k3s_rootless.ports.sources import holders
from k3s_rootless.rootlesskit.names import LOCK
from k3s_rootless.rootlesskit.state import is_held

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState


def report(context: Context, state: UnitState, manager: Mapping[str, str]) -> None:
    """Report the ports that are in use, and suggest free ports.

    A K3s that is running or stopping uses its ports and its data itself, so nothing is reported.
    `manager` is the environment that the user manager passes to each unit. Raises PreflightFailed
    for another K3s with the same data.
    """
    if state.running or state.active_state == "deactivating":
        return
    settings = server_settings.of_next_start(context, state, manager)
    directory = settings.rootlesskit_state
    # Between two restarts by systemd, the next start of the unit itself can hold the lock.
    restarting = state.sub_state.startswith("auto-restart")
    if not restarting and is_held(directory):
        raise _same_data(context, directory / LOCK)
    for line in _busy(context, settings, traefik=settings.traefik):
        context.notice(line)


def _same_data(context: Context, lock: Path) -> PreflightFailed:
    holder = holders.of_lock(lock, uid=context.uid)
    if holder is None:
        return PreflightFailed(
            f"cannot start K3s: another K3s of the same user uses its data (lock: `{lock}`)",
            hint=f"find and stop the other K3s: ps -fu {context.uid}",
        )
    unit = f", {holder.unit}" if holder.unit else ""
    stop = f"kill {holder.pid}"
    if holder.unit.endswith(".service"):
        stop = f"systemctl --user stop {holder.unit}"
    return PreflightFailed(
        f"cannot start K3s: another K3s of the same user, {holder.program} (PID"
        f" {holder.pid}{unit}), uses its data (lock: `{lock}`)",
        hint=f"stop the other K3s: {stop}",
    )


def _busy(context: Context, settings: Settings, *, traefik: bool) -> Iterator[str]:
    sockets = sources.read_host()
    if not isinstance(sockets, Known):
        yield f"cannot check whether the ports of K3s are free: {sockets.reason}"
        return
    busy = startup_conflicts.ports_in_use(settings, sockets.value, traefik=traefik)
    if not busy:
        return
    owners = sources.owners(busy.values(), context.uid)
    others = holders.of_k3s()
    for port, listener in busy.items():
        owner = startup_conflicts.owner(owners[listener], others, context.uid, reasons.described)
        purpose = "its API server" if port == settings.https_port else "Traefik"
        yield f"port {port}, which K3s needs for {purpose}, is in use by {owner}"
    free = startup_conflicts.free_ports(tuple(busy), sockets.value, settings)
    if settings.https_port in free:
        port = free[settings.https_port]
        yield f"port {port} is free for the API server: {_setting('https-listen-port', str(port))}"
    rest = [one for one in free if one != settings.https_port]
    if rest:
        ports = ", ".join(f"{free[one]} instead of {one}" for one in rest)
        yield (
            f"disable Traefik ({_setting('disable', 'traefik')}), or use free ports for its"
            f" Service: {ports}"
        )


def _setting(name: str, value: str) -> str:
    return shlex.join(("k3s-rootless", "config", "set", name, value))
