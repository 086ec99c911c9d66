"""The probes: how each fact for the checks is read, and which facts it depends on.

k3s itself is not in this list, because it is queried before this module is loaded (`probing`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from k3s_rootless import command
from k3s_rootless.cluster.certificates import files
from k3s_rootless.k3s import layout
from k3s_rootless.k3s.settings import Settings
from k3s_rootless.k3s.unit_path import unit_search
from k3s_rootless.linux import sockets
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.check import translate
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import CHANNELS
from k3s_rootless.preflight.facts import NOT_NEEDED
from k3s_rootless.preflight.probes import (
    apparmor,
    configuration,
    datastore,
    gpu,
    host,
    kernel,
    network,
    session,
    storage,
    subids,
    trial,
)
from k3s_rootless.preflight.records import (
    CertificateEnds,
    Confinement,
    Datastore,
    Offer,
    Problem,
    Process,
    Token,
    Trial,
    UsedPort,
)
from k3s_rootless.service.facts import ControllerReach, UnitState
from k3s_rootless.service.observe import own_kubeconfigs
from k3s_rootless.service.systemd import logind

if TYPE_CHECKING:
    from k3s_rootless.service.systemd.user import UserManager

REACH_NOT_NEEDED = ControllerReach(NOT_NEEDED, NOT_NEEDED, NOT_NEEDED, NOT_NEEDED)

_BACKUP_SECONDS = 20.0
"""The time limit for a damaged datastore: some backups are verified."""
_MAP_PROGRAMS = ("newuidmap", "newgidmap")
_CGROUP_MOUNTS = ("sys/fs/cgroup", "sys/fs/cgroup/systemd", "sys/fs/cgroup/unified")

InputsT_contra = TypeVar("InputsT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of every probe."""

    context: Context

    @property
    def root(self) -> Path:
        """The root of the file system."""
        return self.context.paths.root


@dataclass(frozen=True, slots=True)
class HostInputs(Inputs):
    """The inputs of the probes of the host.

    `search` is the PATH of the unit. `running_trial` is the child process of the trial, None if no
    check needs it. `answer` waits for another probe and returns its fact, Unknown if that probe
    failed.
    """

    search: str
    running_trial: trial.RunningTrial | None
    answer: Callable[[str], Any]


@dataclass(frozen=True, slots=True)
class UnitInputs(Inputs):
    """The inputs of the probes that need the answer of systemd.

    `environment` is what the user manager passes to each unit, `control_group` is its own cgroup;
    both are empty without a user manager.
    """

    unit: Observed[UnitState]
    settings: Settings
    environment: Mapping[str, str]
    control_group: str


@dataclass(frozen=True, slots=True)
class Probe(Generic[InputsT_contra]):
    """The definition of how one fact is read.

    `name` is the field of `Facts`. The facts in `after` are read first. `seconds` is the time
    limit, None for the limit that all probes share. `unknown` converts a failure into the fact if
    the type of the field is more than an Observed.
    """

    name: str
    read: Callable[[InputsT_contra], object]
    after: tuple[str, ...] = ()
    seconds: float | None = None
    unknown: Callable[[Unknown], object] | None = None


def _trial(at: HostInputs) -> Observed[Trial]:
    """Map the ids in the child process that created the namespaces of rootlesskit."""
    if at.running_trial is None:
        return NOT_NEEDED
    programs = []
    for name in _MAP_PROGRAMS:
        program = at.answer(name)
        programs.append(program.value.path if isinstance(program, Known) else None)
    ranges = []
    for kind in subids.KINDS:
        ids = at.answer(kind)
        ranges.append(ids.value if isinstance(ids, Known) else ())
    return at.running_trial.finish(programs, ranges)


def _confinement(at: HostInputs) -> Observed[Confinement]:
    """Read the AppArmor label of k3s.

    To read the label, k3s is executed up to its first instruction, so a k3s with a risk is skipped.
    """
    found = at.answer("k3s")
    if isinstance(found, Unknown) or found.risk:
        return apparmor.confinement(at.root, None)
    return apparmor.confinement(at.root, found.path)


def _offers(at: HostInputs) -> Observed[tuple[Offer, ...]]:
    """Read the last known answer of K3s's channels; no server is queried."""
    path = at.context.paths.own / CHANNELS
    if not path.exists():
        return Known((), str(path))
    # Imported here: loading takes 6 ms, and many hosts have no such file.
    from k3s_rootless.binaries import installed

    answers = installed.answers(at.context.paths.own)
    if answers is None:
        return Unknown(f"{path} cannot be read")
    return Known(translate.offers(answers), str(path))


def _sysctls_unknown(failure: Unknown) -> Mapping[str, Unknown]:
    return dict.fromkeys(host.SYSCTLS, failure)


def _process(at: UnitInputs) -> Observed[Process]:
    mounts = tuple(at.root / mount for mount in _CGROUP_MOUNTS)
    return session.process(at.root, mounts, at.control_group)


def _sockets(at: UnitInputs) -> Observed[tuple[UsedPort, ...]]:
    return translate.used_ports(sockets.listeners(), at.settings, at.context.uid)


def _problems(at: UnitInputs) -> Observed[tuple[Problem, ...]]:
    if isinstance(at.unit, Unknown):
        return at.unit
    # Imported here: this loads the rules of the environment, which takes 25 ms, and most runs of
    # `check ID` and `diagnose` do not need them.
    from k3s_rootless.operations.environment import problems

    return problems.problems(at.environment, at.unit.value, at.context.paths.home)


def _ipset(at: UnitInputs) -> Observed[str | None]:
    search = unit_search(at.root)
    if isinstance(at.unit, Known):
        search = (at.unit.value.environment or {}).get("PATH") or search
    unpacked = at.settings.data / layout.UNPACKED / "current" / "bin"
    return kernel.ipset(at.root, unpacked, search)


def _token(at: UnitInputs) -> Observed[Token]:
    given = at.settings.value("token-file")
    if not given.text:
        given = at.settings.value("token")
    return configuration.token(at.settings.data, given, at.settings.directory)


def _certificates(at: UnitInputs) -> Observed[CertificateEnds]:
    found = files.ends(at.settings.data, at.context.uid)
    return translate.certificate_ends(found, datetime.now(UTC))


def _datastore(at: UnitInputs) -> Observed[Datastore]:
    """Check the datastore; if it is damaged, look for a backup that can replace it."""
    found = datastore.state(at.settings.data, at.context.uid)
    if isinstance(found, Unknown) or not found.value.damaged:
        return found
    # Imported here: few datastores are damaged.
    from k3s_rootless.operations.backup import kept

    backup = kept.newest_good(at.context)
    if backup is None or backup.manifest is None:
        return found
    age = datetime.now(UTC) - backup.manifest.created
    return replace(found, value=replace(found.value, backup=(str(backup.path), age)))


HOST: tuple[Probe[HostInputs], ...] = (
    Probe("cgroup", lambda at: host.cgroup_mode(at.root)),
    Probe("sysctls", lambda at: host.sysctls(at.root), unknown=_sysctls_unknown),
    Probe("newuidmap", lambda at: host.map_program("newuidmap", at.search, at.root)),
    Probe("newgidmap", lambda at: host.map_program("newgidmap", at.search, at.root)),
    Probe("subuid", lambda at: subids.of_user("subuid", at.root, at.context.user, at.context.uid)),
    Probe("subgid", lambda at: subids.of_user("subgid", at.root, at.context.user, at.context.uid)),
    Probe(
        "trial",
        _trial,
        after=(*_MAP_PROGRAMS, *subids.KINDS),
        seconds=2 * trial.SECONDS,  # it waits for these four facts
    ),
    Probe("confinement", _confinement, after=("k3s",), seconds=host.VERSION_SECONDS + 4),
    Probe("subid_files", lambda at: subids.of_all(at.root, at.context.user, at.context.uid)),
    Probe("caller", lambda at: session.caller(at.root, at.context.environ)),
    Probe("lingers", lambda at: logind.lingers(at.context.user, at.root)),
    Probe("kernel", lambda at: kernel.release(at.root)),
    Probe("modules", lambda at: kernel.modules(at.root)),
    Probe("devices", lambda at: kernel.opened(at.root)),
    Probe("programs", lambda at: kernel.programs(at.root, at.search)),
    Probe("iptables", lambda at: kernel.iptables(at.search)),
    Probe("network", lambda at: network.network(at.root)),
    Probe("resolver", lambda at: network.resolver(at.root)),
    Probe("offers", _offers),
    Probe("gpu", lambda at: gpu.gpu(at.root, at.search)),
    Probe("host", lambda at: session.machine(at.root, command.found("k3s")[0])),
)
"""The probes that start at once."""

OF_UNIT: tuple[Probe[UnitInputs], ...] = (
    Probe("sockets", _sockets, after=("unit",)),
    Probe("process", _process, after=("user_manager",)),
    Probe(
        "storage",
        lambda at: storage.storage(
            at.root,
            at.settings.data,
            at.context.paths.home,
            at.settings.temporary,
            at.context.uid,
        ),
        after=("unit",),
    ),
    Probe(
        "surroundings",
        lambda at: session.surroundings(at.root, at.settings.config_path),
        after=("unit",),
    ),
    Probe("problems", _problems, after=("unit",)),
    Probe("token", _token, after=("unit",)),
    Probe(
        "target",
        lambda at: configuration.target(at.settings.kubeconfig, at.context.uid, os.getgid()),
        after=("unit",),
    ),
    Probe(
        "kubeconfigs",
        lambda at: own_kubeconfigs.read(at.settings.data, at.context.uid),
        after=("unit",),
    ),
    Probe("certificates", _certificates, after=("unit",)),
    Probe("ipset", _ipset, after=("unit",)),
    Probe("cluster", lambda at: datastore.cluster(at.settings.data), after=("unit",)),
    Probe("datastore", _datastore, after=("unit",), seconds=_BACKUP_SECONDS),
)
"""The probes that start after systemd has answered.

They need the ports, the data directory or the environment of K3s, or the cgroup of the user
manager.
"""

ALL: tuple[Probe[Any], ...] = (*HOST, *OF_UNIT)


def with_dependencies(names: Iterable[str]) -> frozenset[str]:
    """Return these facts, and the facts that are read before them."""
    needed = frozenset(names)
    before = {name for probe in ALL if probe.name in needed for name in probe.after}
    return needed | before


def reach(
    manager: UserManager | None, uid: int, state: UnitState | None, reason: str
) -> ControllerReach:
    """Read where the controllers are available; `reason` is why there is no user manager."""
    # Imported here: this loads the bus, which takes 40 ms, and `check ID` needs it only here and
    # for the unit.
    from k3s_rootless.service.observe import delegation

    if manager is None:
        return delegation.unreachable(reason)
    return delegation.reach(manager, uid, state)
