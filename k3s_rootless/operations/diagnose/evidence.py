"""Looks at the host for what a line of the journal shows only the effect of, through the readers of
`check` and `ports`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.journal import verdict
from k3s_rootless.journal.facts import Place
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.diagnose import ending

if TYPE_CHECKING:
    from k3s_rootless.finding import Finding, Remedy
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_PORT = re.compile(r"listen (?P<kind>tcp|udp)\S* \S{0,100}?:(?P<port>\d{1,5}): bind")
_WRITTEN = re.compile(r'open (?P<path>/[^"]{1,300}?): ')
_APPARMOR = "kernel/apparmor_restrict_unprivileged_userns"


def examined(context: Context, cause: Cause, state: UnitState) -> Cause:
    """Give the cause with what the host shows of it, and with the remedy that fits what was
    seen.
    """
    look = _SIGHTS.get(cause.id)
    seen = tuple(look(cause, state, context)) if look else ()
    findings = _findings(context, cause.check) if cause.check else ()
    other = verdict.aside(cause, _of_others(state))
    if cause.id == "kubeconfig-unwritable":
        other = _opened(cause, context)
    judged = verdict.with_host(cause, findings, seen, ending.of(state), other)
    data = server_settings.of(context, state).data
    return verdict.relocated(judged, str(data), usual=data == context.paths.data)


def _kubeconfig_places(cause: Cause) -> tuple[Place, ...]:
    named = _WRITTEN.search(cause.line)
    if named is None:
        return ()
    path = Path(named["path"])
    found = []
    for place in (path.parent, path):
        try:
            found.append(Place(str(place), place.stat().st_uid, os.access(place, os.W_OK)))
        except OSError:
            continue
    return tuple(found)


def _opened(cause: Cause, context: Context) -> Remedy | None:
    places = _kubeconfig_places(cause)
    # What an administrator is asked to give away has to be the user's own, wherever links lead.
    home = context.paths.home.resolve()
    inside = all(home in Path(one.path).resolve().parents for one in places)
    return verdict.opened(places, context.user, context.uid) if inside else None


def _kubeconfig(cause: Cause, _: UnitState, __: Context) -> Iterator[str]:
    for one in _kubeconfig_places(cause):
        can = "" if one.writable else ", which this user cannot write"
        yield f"{one.path} belongs to uid {one.uid}{can}"


def _findings(context: Context, check: str) -> tuple[Finding, ...]:
    from k3s_rootless.operations.check import checking

    # What a finding is told apart by is asked for as well: the version of systemd, and what the
    # unit asks for.
    return checking.findings(context, (check, "systemd.user", "unit.state"))


def _of_others(state: UnitState) -> dict[str, str]:
    from k3s_rootless.service.drop_ins import drop_in
    from k3s_rootless.service.observe import files

    # One that the user cannot move is for somebody else to put aside.
    paths = [
        path
        for path in state.drop_ins
        if not drop_in.is_ours(path.name) and os.access(path.parent, os.W_OK)
    ]
    return {str(one.path): one.text or "" for one in map(files.or_problem, paths)}


def _told(what: str, tried: Observed[int]) -> str:
    if isinstance(tried, Unknown):
        return f"could not look: {tried.reason}"
    return (
        f"{what} can be opened now"
        if tried.value == 0
        else f"{what}: {os.strerror(tried.value).lower()}"
    )


def _search(state: UnitState) -> str:
    from k3s_rootless.k3s.features import UNIT_PATH

    return (state.environment or {}).get("PATH") or UNIT_PATH


def _program(name: str, state: UnitState) -> str:
    from k3s_rootless.preflight.probes import devices

    search = _search(state)
    where = devices.found(name, search)
    if isinstance(where, Unknown):
        return f"could not look: {where.reason}"
    return (
        f"{name} is {where.value}"
        if where.value
        else f"{name} is nowhere on the unit's PATH ({search})"
    )


def _tun(_: Cause, __: UnitState, context: Context) -> Iterator[str]:
    from k3s_rootless.preflight.probes import devices

    device = context.paths.root / "dev/net/tun"
    yield _told(str(device), devices.opened(device, write=True))


def _fuse(_: Cause, state: UnitState, context: Context) -> Iterator[str]:
    from k3s_rootless.preflight.probes import devices

    device = context.paths.root / "dev/fuse"
    yield _program("mount.fuse3", state)
    yield _told(str(device), devices.opened(device, write=True))


def _slirp4netns(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
    yield _program("slirp4netns", state)
    yield from _drop_ins(state)


def _map_program(cause: Cause, state: UnitState, _: Context) -> Iterator[str]:
    yield _program(cause.check.rpartition(".")[2], state)


def _configuration(cause: Cause, _: UnitState, __: Context) -> Iterator[str]:
    from k3s_rootless.preflight.probes import devices

    path = cause.title.partition(" ")[0]
    yield _told(path, devices.opened(Path(path)))


def _namespace(_: Cause, __: UnitState, context: Context) -> Iterator[str]:
    from k3s_rootless.preflight.probes import devices

    switch = devices.first_line(context.paths.root / "proc/sys" / _APPARMOR)
    if not isinstance(switch, Unknown) and switch.value == "1":
        yield "AppArmor restricts user namespaces here: K3s needs a profile with `userns,`"


def _address(cause: Cause, _: UnitState, context: Context) -> Iterator[str]:
    from k3s_rootless.linux import sockets
    from k3s_rootless.ports.rules import reasons
    from k3s_rootless.ports.sources import holders

    asked = _PORT.search(cause.line)
    if asked is None:
        return
    kind, port = asked["kind"], int(asked["port"])
    try:
        held = holders.of(
            (one for one in sockets.listeners() if one.port == port and one.proto == kind),
            uid=context.uid,
        )
    except (RootlessError, OSError) as error:
        yield f"could not look who holds port {port}: {error}"
        return
    yield from sorted(
        {f"port {port} is held by {reasons.described(one, context.uid)}" for one in held.values()}
    )
    if not held:
        yield f"nobody holds port {port} of this host now"


def _setting(name: str) -> _Sight:
    def look(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
        value = (state.environment or {}).get(name)
        if value is not None:
            yield f"the unit sets {name}={value}"
        yield from _drop_ins(state)

    return look


def _arguments(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
    yield f"the unit starts: {' '.join(state.argv)}"
    yield from _drop_ins(state)


def _executable(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
    from k3s_rootless.preflight.probes import devices

    for program in state.argv[:1]:
        tried = devices.opened(Path(program))
        what = _told(program, tried)
        yield (
            f"{program} is there; it cannot be run"
            if what.endswith("now") and not os.access(program, os.X_OK)
            else what
        )
    yield from _drop_ins(state)


def _drop_ins(state: UnitState) -> Iterator[str]:
    if state.drop_ins:
        yield f"drop-ins of the unit: {', '.join(map(str, state.drop_ins))}"


_Sight = Callable[["Cause", "UnitState", "Context"], Iterator[str]]
_SIGHTS: Mapping[str, _Sight] = {
    "tun": _tun,
    "snapshotter-fuse": _fuse,
    "slirp4netns-missing": _slirp4netns,
    "slirp4netns-failed": _tun,
    "idmap-missing": _map_program,
    "config-unreadable": _configuration,
    "kubeconfig-unwritable": _kubeconfig,
    "userns-forbidden": _namespace,
    "address-taken": _address,
    "forward-failed": _address,
    "supervisor-port": _address,
    "cidr-invalid": _setting("K3S_ROOTLESS_CIDR"),
    "mtu-invalid": _setting("K3S_ROOTLESS_MTU"),
    "mtu-stalls": _setting("K3S_ROOTLESS_MTU"),
    "copyup-invalid": _setting("K3S_ROOTLESS_COPYUPDIRS"),
    "source-address": _setting("K3S_ROOTLESS_PORT_DRIVER"),
    "flag-unknown": _arguments,
    "exec-failed": _executable,
    "unit-broken": lambda _, state, __: _drop_ins(state),
}
