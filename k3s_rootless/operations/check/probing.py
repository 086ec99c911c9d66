"""Read the facts that the checks need: each probe in its own thread, with its own time limit.

k3s takes longest, so k3s starts first, while the other probes and the bus are loaded. The probes of
the host run while systemd answers; those that need the unit (its data directory, its ports) start
after that. If a probe hangs or fails, only its own fact is unknown, with the reason.
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
from k3s_rootless.operations import first_start, k3s_search, server_settings
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.facts import NOT_NEEDED, Delegation, Facts, K3sBinary
from k3s_rootless.preflight.probes import host, trial

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.check.probes import Probe
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import ControllerReach, UnitState
    from k3s_rootless.service.systemd.user import UserManager

PROBE_SECONDS = 4.0
_K3S_SECONDS = host.VERSION_SECONDS + 2
"""The limit is higher because k3s may have to unpack itself before it prints its version."""


def preload() -> None:
    """Import the checks during the wait for k3s, systemd and newuidmap, which saves 30 ms."""
    from k3s_rootless.operations.check import selection  # noqa: F401 (imported for later)


class Probing:
    """Running probes: k3s starts at once, the others start in `finish`.

    `needs` are the facts to read, including those that others depend on; None means all facts.
    `seconds` is the time limit of each probe without its own. As a context manager, it ends its
    child processes if an error is raised.
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
        self._needs = needs
        self._started: dict[str, tuple[background.BackgroundQuery[Any], float]] = {}
        self._trial: trial.RunningTrial | None = None
        if self.needs("trial"):
            self._trial = trial.RunningTrial()
        self._search = unit_search(context.paths.root)
        if self.needs("k3s"):
            read = partial(k3s_search.found, context, self._search)
            self._begin("k3s", read, _K3S_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            return
        if self._trial is not None and "trial" not in self._started:  # otherwise, its probe ends it
            self._trial.end()
        command.end_all()

    def needs(self, *names: str) -> bool:
        """Return whether one of these facts is needed."""
        return self._needs is None or not self._needs.isdisjoint(names)

    def finish(
        self,
        manager: UserManager | None,
        reason: str = "",
        *,
        unit_state: UnitState | None = None,
        load: Callable[[], object] = preload,
    ) -> tuple[Facts, ControllerReach]:
        """Query the user manager, run the other probes, and return all facts.

        Without a user manager, `reason` is why there is none. `unit_state` is the unit, if the user
        manager was just queried for it. `load` imports what the caller needs next; it runs in a
        thread as soon as all probes run.
        """
        # Imported while k3s prints its version, which saves 30 ms.
        from k3s_rootless.operations.check import probes, translate

        no_manager = Unknown(reason or NOT_NEEDED.reason)
        inputs = probes.HostInputs(self.context, self._search, self._trial, self._answer)
        self._begin_all(probes.HOST, inputs)

        unit: Observed[UnitState] = no_manager
        directory = self.context.paths.user_units
        environment: Mapping[str, str] | None = None
        control_group = ""
        if manager:
            directory = first_start.unit_directory(manager, self.context.paths)
            unit = self._unit(manager, unit_state, directory)
            environment = manager.environment
            control_group = manager.control_group
        state = unit.value if isinstance(unit, Known) else None
        settings = server_settings.of_next_start(self.context, state, environment)
        of_unit = probes.UnitInputs(self.context, unit, settings, environment or {}, control_group)
        self._begin_all(probes.OF_UNIT, of_unit)

        background.begin(load)
        reach = probes.REACH_NOT_NEEDED
        if self.needs("delegation"):
            reach = probes.reach(manager, self.context.uid, state, no_manager.reason)
        user_manager: Observed[str] = no_manager
        if manager:
            user_manager = Known(manager.version, "the user bus")
        k3s = self._answer("k3s")
        if isinstance(k3s, Unknown):
            k3s = K3sBinary(path=None, version=k3s)
        facts = Facts(
            **self._facts_of_context(),
            **{probe.name: self._fact(probe) for probe in probes.ALL},
            server=settings,
            user_manager=user_manager,
            delegation=Delegation(reach.kernel, reach.configured, reach.realized, reach.effective),
            unit=translate.unit(unit, directory),
            k3s=k3s,
        )
        return facts, reach

    def _facts_of_context(self) -> dict[str, Any]:
        """Return the facts that take no time to read."""
        paths = self.context.paths
        return {
            "uid": self.context.uid,
            "gid": os.getgid(),
            "user": self.context.user,
            "machine": os.uname().machine,
            "systemd_booted": host.systemd_booted(paths.root),
            "runtime": host.runtime_directory(self.context.environ, paths.runtime),
            "distribution": host.distribution(paths.root),
        }

    def _begin_all(self, probes: tuple[Probe[Any], ...], inputs: object) -> None:
        for probe in probes:
            if self.needs(probe.name):
                self._begin(probe.name, partial(probe.read, inputs), probe.seconds)

    def _begin(self, name: str, read: Callable[[], object], seconds: float | None = None) -> None:
        if name in self._started:
            return  # a second `finish`, after the user manager was lost
        limit = self._seconds if seconds is None else seconds
        self._started[name] = (background.begin(read), time.monotonic() + limit)

    def _answer(self, name: str) -> Any:  # noqa: ANN401 (each fact has its own type)
        if name not in self._started:
            return NOT_NEEDED
        running, deadline = self._started[name]
        try:
            return background.answer(running, deadline)
        except RootlessError as error:
            return Unknown(f"the probe of {name} failed: {error.message}")

    def _fact(self, probe: Probe[Any]) -> Any:  # noqa: ANN401 (each fact has its own type)
        answer = self._answer(probe.name)
        if isinstance(answer, Unknown) and probe.unknown:
            return probe.unknown(answer)
        return answer

    def _unit(
        self, manager: UserManager, known: UnitState | None, directory: Path
    ) -> Observed[UnitState]:
        if not self.needs("unit"):
            return NOT_NEEDED
        try:
            state = known or manager.unit(UNIT)
            return Known(first_start.foreseen(state, directory), "systemd")
        except RootlessError as error:
            return Unknown(error.message)
