"""Examine the host for the origin of a cause, where the journal shows only the effect.

The same readers are used as in `check` and `ports`.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.errors import RootlessError
from k3s_rootless.finding import Verdict
from k3s_rootless.journal import verdict
from k3s_rootless.journal.facts import Full, Place
from k3s_rootless.k3s.features import UNIT_PATH
from k3s_rootless.linux import disk_usage, mounts, sockets
from k3s_rootless.observation import Observed, Unknown, value_or
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.diagnose import ending
from k3s_rootless.ports.rules import reasons
from k3s_rootless.ports.sources import holders
from k3s_rootless.preflight.probes import devices
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from k3s_rootless.finding import Finding, Remedy
    from k3s_rootless.journal.facts import Cause, Ending, StartLog
    from k3s_rootless.operations.context import Context
    from k3s_rootless.ports.facts import Holder
    from k3s_rootless.service.facts import UnitState

_PORT = re.compile(r"listen (?P<kind>tcp|udp)\S* \S{0,100}?:(?P<port>\d{1,5}): bind")
_WRITTEN = re.compile(r'open (?P<path>/[^"]{1,300}?): ')
_NO_SPACE = re.compile(
    r"(?P<path>/[^\s:\"'\\]{1,500})[\"'\\]{0,4}: (?:no space left on device|disk quota exceeded)"
)
_PORT_CAUSES = ("address-taken", "forward-failed", "supervisor-port")
_NO_FREE = 1024 * 1024
_MOST_ENTRIES = 3
_OF_A_RUNNING_K3S = ("config", "storage", "sysctl", "host", "unit")
"""The checks of what can change, or be damaged, while K3s runs."""
_APPARMOR = "kernel/apparmor_restrict_unprivileged_userns"


def cause_of(
    context: Context, log: StartLog, state: UnitState, end: Ending, *, ready: bool = False
) -> Cause | None:
    """Return the cause of a start that agrees with the host, with its evidence; or None."""
    for cause in verdict.candidates(log, end):
        found, findings = _examined(context, cause, state)
        if verdict.stands(found, findings, ready=ready) or _is_port_taken(context, found, state):
            return found
    return None


def with_evidence(context: Context, cause: Cause, state: UnitState) -> Cause:
    """Return the cause with evidence from the host, and with the remedy that fits the evidence."""
    return _examined(context, cause, state)[0]


def _examined(
    context: Context, cause: Cause, state: UnitState
) -> tuple[Cause, tuple[Finding, ...]]:
    """Return the cause with its evidence, and the findings of its check."""
    observed = _observed(context, cause, state)
    if cause.id == "containerd-plugin":
        for line in observed:
            cause = verdict.behind_line(cause, line)
    full = _full(context, cause, state) if cause.id == "disk-full" else None
    if full is not None:
        cause = verdict.of_full(cause, full)
    findings = _findings(context, cause)
    remedy = _remedy(context, cause, state)
    judged = verdict.with_host(cause, findings, observed, ending.of(state), remedy)
    data = server_settings.of(context, state).data
    return verdict.relocated(judged, str(data), usual=data == context.paths.data), findings


def _observed(context: Context, cause: Cause, state: UnitState) -> tuple[str, ...]:
    reader = _READERS.get(cause.id)
    if reader is None:
        return ()
    return tuple(reader(cause, state, context))


def _findings(context: Context, cause: Cause) -> tuple[Finding, ...]:
    if not cause.check:
        return ()
    # Imported here: `check` takes 40 ms to load, and many causes have no check.
    from k3s_rootless.operations.check import checking

    # Some causes of a check depend on the version of systemd and on the settings of the unit.
    ids = [cause.check, "systemd.user", "unit.state"]
    if cause.id == "clock":
        ids.append("config.expiry")
    return checking.findings(context, ids)


def warnings(context: Context) -> tuple[Finding, ...]:
    """Return what `check` finds now in the settings, the data and the limits of K3s."""
    # Imported here, as above.
    from k3s_rootless.operations.check import checking

    found = checking.findings(context, _OF_A_RUNNING_K3S)
    return tuple(one for one in found if one.verdict in {Verdict.FAIL, Verdict.WARN})


def _remedy(context: Context, cause: Cause, state: UnitState) -> Remedy | None:
    if cause.id == "kubeconfig-unwritable":
        return _kubeconfig_remedy(context, cause)
    return verdict.drop_in_remedy(cause, _foreign_drop_ins(state))


def _kubeconfig_remedy(context: Context, cause: Cause) -> Remedy | None:
    places = _kubeconfig_places(cause)
    # An administrator must change the owner only of paths that, after all links are resolved, are
    # in the user's home directory.
    home = context.paths.home.resolve()
    if not all(home in Path(place.path).resolve().parents for place in places):
        return None
    return verdict.owner_remedy(places, context.user, context.uid)


def _kubeconfig_places(cause: Cause) -> tuple[Place, ...]:
    """Return the directory and the file that K3s could not write, if they exist."""
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


def _foreign_drop_ins(state: UnitState) -> dict[str, str]:
    """Return the texts, by path, of other drop-ins than ours that the user can move."""
    paths = [
        path
        for path in state.drop_ins
        if not drop_in.is_ours(path.name) and os.access(path.parent, os.W_OK)
    ]
    found = map(files.or_problem, paths)
    return {str(file.path): file.text or "" for file in found}


def _kubeconfig(cause: Cause, _: UnitState, __: Context) -> Iterator[str]:
    for place in _kubeconfig_places(cause):
        line = f"{place.path} belongs to uid {place.uid}"
        if not place.writable:
            line += " and is not writable for this user"
        yield line


def _full(context: Context, cause: Cause, state: UnitState) -> Full | None:
    """Return the file system that a line names, or that is full now; None if none is.

    Below /run, rootlesskit gives K3s copies in memory: a path that does not exist here is no path
    of this host.
    """
    data = server_settings.of(context, state).data
    named = [Path(one["path"]) for one in _NO_SPACE.finditer(cause.line)]
    rooms = [*_rooms(path for path in named if path.parent.exists())]
    if not rooms:
        usual = (data, context.paths.runtime, context.paths.root / "tmp")
        rooms = [one for one in _rooms(usual) if one.free < _NO_FREE or one.inodes == 0]
    if not rooms:
        return None
    found = rooms[0]
    in_memory = found.type == "tmpfs" and context.paths.runtime.is_relative_to(found.point)
    looked = context.paths.runtime if in_memory else data
    return Full(
        found.point,
        found.type,
        found.free,
        found.size,
        found.inodes,
        in_memory,
        _largest(looked),
    )


def _rooms(places: Iterable[Path]) -> Iterator[mounts.Room]:
    for place in places:
        with suppress(OSError):
            yield mounts.room(place)


def _largest(directory: Path) -> tuple[str, ...]:
    """Return the largest entries of a directory, with their sizes; a second is enough to look."""
    deadline = time.monotonic() + 1
    sizes = []
    with suppress(OSError):
        sizes = [(disk_usage.read([one], deadline).size, one) for one in directory.iterdir()]
    largest = sorted(sizes, reverse=True)[:_MOST_ENTRIES]
    return tuple(f"{path} {byte_size.text(size)}" for size, path in largest if size)


def _tun(_: Cause, __: UnitState, context: Context) -> Iterator[str]:
    yield _device(context, "dev/net/tun")


def _fuse(_: Cause, state: UnitState, context: Context) -> Iterator[str]:
    yield _program("mount.fuse3", state)
    yield _device(context, "dev/fuse")


def _slirp4netns(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
    yield _program("slirp4netns", state)
    yield from _drop_ins(state)


def _map_program(cause: Cause, state: UnitState, _: Context) -> Iterator[str]:
    yield _program(cause.check.rpartition(".")[2], state)


def _configuration(cause: Cause, _: UnitState, __: Context) -> Iterator[str]:
    path = cause.title.partition(" ")[0]
    yield _open_result(path, devices.opened(Path(path)))


def _namespace(_: Cause, __: UnitState, context: Context) -> Iterator[str]:
    switch = devices.first_line(context.paths.root / "proc/sys" / _APPARMOR)
    if value_or(switch, "") == "1":
        yield "AppArmor restricts user namespaces on this host: K3s needs a profile with `userns,`"


def _is_port_taken(context: Context, cause: Cause, state: UnitState) -> bool:
    """Return whether another program holds the port now that a line says is in use.

    K3s does not retry each forward, and no check knows the ports of the Services.
    """
    named = _PORT.search(cause.line)
    if cause.id not in _PORT_CAUSES or named is None:
        return False
    try:
        held = _holders(context, named["kind"], int(named["port"]), state.control_group)
    except (RootlessError, OSError):
        return False
    return any(not one.of_unit for one in held)


def _holders(context: Context, kind: str, port: int, unit_group: str = "") -> Iterable[Holder]:
    listeners = (one for one in sockets.listeners() if one.port == port and one.proto == kind)
    return holders.of(listeners, uid=context.uid, unit_group=unit_group).values()


def _address(cause: Cause, _: UnitState, context: Context) -> Iterator[str]:
    named = _PORT.search(cause.line)
    if named is None:
        return
    kind, port = named["kind"], int(named["port"])
    try:
        held = _holders(context, kind, port)
    except (RootlessError, OSError) as error:
        yield f"cannot check which program uses port {port}: {error}"
        return
    if not held:
        yield f"port {port} of this host is not in use now"
        return
    described = {reasons.described(holder, context.uid) for holder in held}
    yield from sorted(f"port {port} is in use by {holder}" for holder in described)


def _setting(name: str) -> _Reader:
    def read(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
        value = (state.environment or {}).get(name)
        if value is not None:
            yield f"the unit sets {name}={value}"
        yield from _drop_ins(state)

    return read


def _arguments(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
    yield f"the unit runs: {' '.join(state.argv)}"
    yield from _drop_ins(state)


def _executable(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
    for program in state.argv[:1]:
        tried = devices.opened(Path(program))
        if value_or(tried, None) == 0 and not os.access(program, os.X_OK):
            yield f"{program} exists, but cannot be executed"
        else:
            yield _open_result(program, tried)
    yield from _drop_ins(state)


def _unit_files(_: Cause, state: UnitState, __: Context) -> Iterator[str]:
    yield from _drop_ins(state)


def _drop_ins(state: UnitState) -> Iterator[str]:
    if state.drop_ins:
        yield f"drop-ins of the unit: {', '.join(map(str, state.drop_ins))}"


def _program(name: str, state: UnitState) -> str:
    search = (state.environment or {}).get("PATH") or UNIT_PATH
    where = devices.found(name, search)
    if isinstance(where, Unknown):
        return f"cannot check {name}: {where.reason}"
    if not where.value:
        return f"{name} was not found in the unit's PATH ({search})"
    return f"{name} was found: {where.value}"


def _device(context: Context, name: str) -> str:
    device = context.paths.root / name
    return _open_result(str(device), devices.opened(device, write=True))


def _open_result(name: str, result: Observed[int]) -> str:
    """Return a sentence about a file or device that was opened; `result` is an errno or 0."""
    if isinstance(result, Unknown):
        return f"cannot check {name}: {result.reason}"
    if result.value == 0:
        return f"{name} can be opened now"
    return f"{name}: {os.strerror(result.value).lower()}"


def _containerd(_cause: Cause, state: UnitState, context: Context) -> Iterator[str]:
    # Imported here: few causes are in the log of containerd.
    from k3s_rootless.operations.containerd import own_log, place

    lines = own_log.failures(place.read(place.of(context, state)))
    if lines:
        yield f"the log of containerd: {own_log.reason(lines[-1])}"


_Reader = Callable[["Cause", "UnitState", "Context"], Iterator[str]]
_READERS: Mapping[str, _Reader] = {
    "tun": _tun,
    "snapshotter-fuse": _fuse,
    "containerd-plugin": _containerd,
    "slirp4netns-missing": _slirp4netns,
    "slirp4netns-failed": _tun,
    "idmap-missing": _map_program,
    "config-unreadable": _configuration,
    "kubeconfig-unwritable": _kubeconfig,
    "userns-forbidden": _namespace,
    **dict.fromkeys(_PORT_CAUSES, _address),
    "cidr-invalid": _setting("K3S_ROOTLESS_CIDR"),
    "mtu-invalid": _setting("K3S_ROOTLESS_MTU"),
    "mtu-stalls": _setting("K3S_ROOTLESS_MTU"),
    "copyup-invalid": _setting("K3S_ROOTLESS_COPYUPDIRS"),
    "source-address": _setting("K3S_ROOTLESS_PORT_DRIVER"),
    "flag-unknown": _arguments,
    "exec-failed": _executable,
    "unit-broken": _unit_files,
}
"""The examination of the host for each cause, by its id."""
