"""Reads what the checks need: each probe in a thread of its own, within its own time, and allowed
to fail alone.

k3s takes longest, and begins at once, while the bus is loaded. The others run while systemd is
asked, which is waiting; those that need to know the unit (its data directory, its ports) begin when
it has answered. What hangs or fails is unknown, with its reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from k3s_rootless import background, command
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s.unit_path import unit_search
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations import first_start, server_settings
from k3s_rootless.operations.check import settings_probes, translate
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.facts import Delegation, Facts, K3sBinary
from k3s_rootless.preflight.probes import host, trial

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.linux.facts import Listener
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import ControllerReach, UnitState
    from k3s_rootless.service.systemd.user import UserManager

PROBE_SECONDS = 4.0
# k3s may have to unpack itself before it says its version; the trial waits for what it maps.
_LONGER = {
    "k3s": host.VERSION_SECONDS + 2,
    "confinement": host.VERSION_SECONDS + 4,
    "trial": 2 * trial.SECONDS,
}
# What a probe cannot begin without.
_BEFORE = {
    "trial": {"newuidmap", "newgidmap", "subuid", "subgid"},
    "confinement": {"k3s"},
    **{name: {"unit"} for name in ("storage", "sockets", "beside", "problems")},
    **{name: {"unit"} for name in ("token", "target", "kubeconfigs", "cluster")},
    "process": {"user_manager"},
}
_NOT_ASKED = Unknown("nobody asked for it")


def _load_judges() -> None:
    from k3s_rootless.preflight.checks import checklist  # noqa: F401


class Examination:
    """An examination under way, begun by making it: `needs` names facts, None all of them; each
    probe has `seconds`.

    As a context it leaves nothing behind where an error kept it from its end.
    """

    def __init__(
        self,
        context: Context,
        needs: frozenset[str] | None = None,
        *,
        seconds: float = PROBE_SECONDS,
    ) -> None:
        self.context = context
        self._seconds = seconds
        self._needs = (
            None
            if needs is None
            else needs | {more for name in needs for more in _BEFORE.get(name, ())}
        )
        self._asked: dict[str, tuple[background.Asked[Any], float]] = {}
        self._trying = trial.Trying() if self.needs("trial") else None
        self._begin(
            "k3s",
            partial(
                host.k3s_binary,
                context.environ,
                unit_search(context.paths.root),
                context.paths.home,
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            return
        if self._trying is not None and "trial" not in self._asked:  # else whoever asked ends it
            self._trying.end()
        command.end_all()

    def needs(self, *names: str) -> bool:
        """Tell whether one of these facts is asked for."""
        return self._needs is None or not self._needs.isdisjoint(names)

    def finish(
        self,
        manager: UserManager | None,
        reason: str = "",
        *,
        asked: UnitState | None = None,
        load: Callable[[], object] = _load_judges,
    ) -> tuple[Facts, ControllerReach]:
        """Ask the user manager, and collect all answers; without a manager, `reason` says why there
        is none.

        `asked` is the unit, where the manager was asked for it just now. `load` loads what follows,
        in a thread as soon as all are asked: k3s takes longer than Python is busy with the others.
        """
        context, unasked = self.context, Unknown(reason or _NOT_ASKED.reason)
        for name, ask in self._first().items():
            self._begin(name, ask)
        unit: Observed[UnitState] = self._unit(manager, asked) if manager else unasked
        state = unit.value if isinstance(unit, Known) else None
        server = server_settings.of_next_start(
            context, state, manager.environment if manager else None
        )
        for name, ask in self._second(server, unit, manager).items():
            self._begin(name, ask)
        background.begin(load)
        reach = self._reach(manager, state, unasked)
        answers = {name: self._answer(name) for name in self._asked}
        missing: Mapping[str, Any] = {
            "sysctls": dict.fromkeys(host.SYSCTLS, answers.get("sysctls", _NOT_ASKED)),
            "k3s": K3sBinary(path=None, version=answers.get("k3s", _NOT_ASKED)),
        }
        seen = {
            name: answer
            for name, answer in answers.items()
            if name not in missing or not isinstance(answer, Unknown)
        }
        held = translate.held(seen.get("sockets", _NOT_ASKED), server, context.uid)
        facts = Facts(
            uid=context.uid,
            gid=os.getgid(),
            user=context.user,
            machine=os.uname().machine,
            systemd_booted=host.systemd_booted(context.paths.root),
            runtime=host.runtime_directory(context.environ, context.paths.runtime),
            distribution=host.distribution(context.paths.root),
            server=server,
            user_manager=Known(manager.version, "the user bus") if manager else unasked,
            delegation=Delegation(reach.kernel, reach.configured, reach.realized, reach.effective),
            unit=translate.unit(unit),
            **{**dict.fromkeys(_FIELDS, _NOT_ASKED), **missing, **seen, "sockets": held},
        )
        return facts, reach

    def _begin(self, name: str, ask: Callable[[], Any]) -> None:
        if self.needs(name):
            self._asked[name] = (
                background.begin(ask),
                time.monotonic() + _LONGER.get(name, self._seconds),
            )

    def _answer(self, name: str) -> Any:  # noqa: ANN401 (each probe has its own answer)
        asked, deadline = self._asked[name]
        try:
            return background.answer(asked, deadline)
        except RootlessError as error:
            return Unknown(f"the probe of {name}: {error.message}")

    def _first(self) -> Mapping[str, Callable[[], Any]]:
        from k3s_rootless.preflight.probes import kernel, network
        from k3s_rootless.preflight.probes import session as session_probes

        context, root, search = (
            self.context,
            self.context.paths.root,
            unit_search(self.context.paths.root),
        )
        return {
            "cgroup": partial(host.cgroup_mode, root),
            "sysctls": partial(host.sysctls, root),
            **{
                name: partial(host.map_program, name, search, root)
                for name in ("newuidmap", "newgidmap")
            },
            **{
                kind: partial(host.subids, kind, root, context.user, context.uid)
                for kind in ("subuid", "subgid")
            },
            "trial": self._tried,
            "confinement": self._confined,
            "subid_files": partial(session_probes.subid_files, root, context.user, context.uid),
            "caller": partial(session_probes.caller, root, context.environ),
            "lingers": self._lingers,
            "kernel": partial(kernel.release, root),
            "modules": partial(kernel.modules, root),
            "devices": partial(kernel.opened, root),
            "programs": partial(kernel.programs, root, search),
            "iptables": partial(kernel.iptables, search),
            "network": partial(network.network, root),
            "resolver": partial(network.resolver, root),
            "host": lambda: session_probes.machine(root, command.found("k3s")[0]),
        }

    def _second(
        self, server: Settings, unit: Observed[UnitState], manager: UserManager | None
    ) -> Mapping[str, Callable[[], Any]]:
        from k3s_rootless.operations.environment import problems
        from k3s_rootless.preflight.probes import session as session_probes
        from k3s_rootless.preflight.probes import storage

        paths = self.context.paths
        groups = tuple(
            paths.root / place
            for place in ("sys/fs/cgroup", "sys/fs/cgroup/systemd", "sys/fs/cgroup/unified")
        )
        handed = manager.environment if manager else {}
        return {
            "sockets": _listeners,
            "process": partial(
                session_probes.process, paths.root, groups, manager.control_group if manager else ""
            ),
            "storage": partial(
                storage.storage,
                paths.root,
                server.data,
                paths.home,
                server.temporary,
                self.context.uid,
            ),
            "beside": partial(session_probes.beside, paths.root, server.config_path),
            "problems": partial(problems.problems, handed, unit.value, paths.home)
            if isinstance(unit, Known)
            else lambda: unit,
            **settings_probes.of(self.context, server),
        }

    def _unit(self, manager: UserManager, asked: UnitState | None) -> Observed[UnitState]:
        if not self.needs("unit"):
            return _NOT_ASKED
        try:
            directory = first_start.unit_directory(manager, self.context.paths)
            return Known(first_start.foreseen(asked or manager.unit(UNIT), directory), "systemd")
        except RootlessError as error:
            return Unknown(error.message)

    def _reach(
        self, manager: UserManager | None, state: UnitState | None, unasked: Unknown
    ) -> ControllerReach:
        if not self.needs("delegation"):
            from k3s_rootless.service.facts import ControllerReach

            return ControllerReach(_NOT_ASKED, _NOT_ASKED, _NOT_ASKED, _NOT_ASKED)
        from k3s_rootless.service.observe import delegation

        return (
            delegation.reach(manager, self.context.uid, state)
            if manager
            else delegation.unreachable(unasked.reason)
        )

    def _lingers(self) -> Observed[bool]:
        # Here and below, what only one probe needs is loaded where it is asked: the bus is not
        # needed for a sysctl.
        from k3s_rootless.service.systemd import logind

        return logind.lingers(self.context.user, self.context.paths.root)

    def _tried(self) -> Any:  # noqa: ANN401 (Observed[Trial])
        if self._trying is None:
            return _NOT_ASKED
        programs = [
            found.value.path if isinstance(found := self._answer(name), Known) else None
            for name in _MAPPERS
        ]
        ranges = [
            found.value if isinstance(found := self._answer(kind), Known) else () for kind in _KINDS
        ]
        return self._trying.finish(programs, ranges)

    def _confined(self) -> Any:  # noqa: ANN401 (Observed[Confinement])
        from k3s_rootless.preflight.probes import apparmor

        found = self._answer("k3s")
        # The profile is read by executing k3s up to its first instruction: not one that is not
        # trusted.
        path = None if isinstance(found, Unknown) or found.risk else found.path
        return apparmor.confinement(self.context.paths.root, path)


_MAPPERS, _KINDS = ("newuidmap", "newgidmap"), ("subuid", "subgid")
_FIELDS = (
    *(
        "cgroup",
        "trial",
        "confinement",
        "newuidmap",
        "newgidmap",
        "subuid",
        "subgid",
        "subid_files",
        "process",
        "caller",
    ),
    *(
        "lingers",
        "problems",
        "kernel",
        "modules",
        "devices",
        "programs",
        "iptables",
        "network",
        "resolver",
        "storage",
    ),
    *("beside", "host", "token", "target", "kubeconfigs", "cluster"),
)


def _listeners() -> tuple[Listener, ...]:
    from k3s_rootless.linux import sockets

    return sockets.listeners()
