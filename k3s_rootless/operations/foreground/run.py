"""Run K3s in the foreground, and stop it when this process ends."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from k3s_rootless import interruption
from k3s_rootless.errors import NotReady, PreflightFailed, RootlessError
from k3s_rootless.k3s import needs
from k3s_rootless.observation import Known
from k3s_rootless.operations import first_start, installation, rotation
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.check import checking
from k3s_rootless.operations.environment import proxy_hint
from k3s_rootless.operations.foreground import active, planned
from k3s_rootless.operations.foreground.following import Following
from k3s_rootless.operations.kubeconfig import after_start
from k3s_rootless.operations.launch import conflicts, death, perform, sequence, until_ready
from k3s_rootless.operations.launch.events import StepBegins
from k3s_rootless.operations.launch.reconnecting import ReconnectingManager
from k3s_rootless.operations.launch.started import Started
from k3s_rootless.paths import FOREGROUND, UNIT
from k3s_rootless.service.act import life_line
from k3s_rootless.service.observe import delegation
from k3s_rootless.service.plan.steps import ClearState, Reexecute, Reload
from k3s_rootless.service.unit import foreground
from k3s_rootless.service.unit.foreground import WATCH, Programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager

_SEARCH = "/usr/bin:/bin:/run/current-system/sw/bin"
_TURN, _RECONNECTION = 60.0, 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `run`.

    `arguments` are flags of `k3s server`. `ignored` names checks that may fail. `timeout` is the
    time in seconds after which a K3s that is not ready is reported; it keeps running.
    """

    arguments: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    timeout: float = 300.0


class _Plan(NamedTuple):
    """The unit to start, its release, the steps before its start, and checks that may fail."""

    unit: UnitState
    version: Version | None
    steps: tuple[Step, ...]
    ignored: tuple[str, ...]


def run(context: Context, request: Request, on_ready: Callable[[Started], None]) -> None:
    """Run K3s until it ends, is stopped by another command, or this process is interrupted.

    `on_ready` is called once K3s is ready. Whatever ends this process, systemd stops K3s.

    Raises KeyboardInterrupt after SIGINT, SIGTERM or SIGHUP, when K3s is stopped. Raises the errors
    of `up` before the start, and RootlessError with the cause if K3s ends by itself.
    """
    planned.require_flags(request.arguments)
    programs = _programs()
    plan = _prepared(context, request)
    with (
        interruption.delayed() as delay,
        life_line.held(context.paths.foreground),
        context.manager() as manager,
    ):
        log: Following | None = None
        try:
            with delay.allowed():
                begun = time.monotonic()
                state = _started(context, manager, plan, programs)
                log = Following(context, state.invocation)
                _wait(context, manager, plan, state, request, on_ready, begun)
        except KeyboardInterrupt:
            context.notice("stopping K3s")
        finally:
            stopped = _stop(context)
            if log is not None:
                log.end()
        if stopped:
            context.notice("K3s is stopped")


def _prepared(context: Context, request: Request) -> _Plan:
    """Check the host, and return what to start. Raises RootlessError."""
    active.require_none(context, "run K3s in this terminal")
    with checking.begin(context, request.ignored) as checks, context.manager() as manager:
        directory = first_start.unit_directory(manager, context.paths)
        found = _reloaded(context, manager, directory)
        _require_stopped(found)
        foreseen = first_start.foreseen(found, directory)
        seen = replace(foreseen, argv=planned.command(foreseen, request.arguments))
        facts, reach = checks.finish(manager, unit_state=seen)
        conflicts.report(context, seen, manager.environment)
        sequence.require_ready(context, checking.judge(facts), request.ignored)
        unit = planned.unit(found, directory, facts.k3s, request.arguments)
        steps: list[Step] = []
        if delegation.only_reexecution_lacks(reach, needs.CONTROLLERS):
            steps.append(Reexecute("its units do not get all cgroup controllers"))
        steps += _before_start(context, manager, unit)
        release = facts.k3s.version
        version = release.value if isinstance(release, Known) else None
        return _Plan(unit, version, tuple(steps), request.ignored)


def _reloaded(context: Context, manager: UserManager, directory: Path) -> UnitState:
    state = installation.observed(manager, directory)
    if not (state.installed and state.needs_reload):
        return state
    with context.locked():
        perform.step(context, manager, Reload("the unit changed after systemd read it"))
    return manager.unit(UNIT)


def _require_stopped(state: UnitState) -> None:
    """Raise RootlessError if the installed unit runs, or if systemd is about to start it."""
    if state.at_rest:
        return
    raise RootlessError(
        f"cannot run K3s in this terminal: `{state.name}` is {state.active_state}"
        f" ({state.sub_state})",
        hint="stop it first with: k3s-rootless down",
    )


def _before_start(context: Context, manager: UserManager, unit: UnitState) -> Iterator[Step]:
    left = installation.left_behind(context, unit, manager.environment)
    if left:
        yield ClearState(left, "a K3s that was killed left them, and no process uses them")
    rotate = rotation.needed(context, manager.environment, unit)
    if rotate is not None:
        yield rotate


def _started(context: Context, manager: UserManager, plan: _Plan, programs: Programs) -> UnitState:
    """Start the unit, and return its state."""
    lock = context.paths.foreground
    with context.locked():
        unfinished.require_none(context)
        _require_stopped(manager.unit(UNIT))
        for step in plan.steps:
            perform.step(context, manager, step)
            if isinstance(step, Reexecute):
                sequence.require_effective(context, manager, plan.ignored)
        proxy_hint.report(context, manager)
        context.listener(StepBegins(f"start {FOREGROUND}", "K3s runs until this command ends"))
        manager.start_transient(
            FOREGROUND,
            foreground.server(plan.unit, lock, programs),
            beside={WATCH: foreground.watch(lock, programs)},
        )
    manager.watch(FOREGROUND)
    return manager.unit(FOREGROUND)


def _wait(
    context: Context,
    manager: UserManager,
    plan: _Plan,
    state: UnitState,
    request: Request,
    on_ready: Callable[[Started], None],
    begun: float,
) -> None:
    """Report when K3s is ready, and wait until it ends."""
    try:
        reached = until_ready.until_ready(
            context,
            manager,
            plan.version,
            seconds=request.timeout,
            until="node",
            started=True,
            state=state,
        )
    except NotReady as error:
        context.notice(f"{error.message}\nK3s keeps running; stop it with Ctrl-C")
    else:
        written = after_start.kubeconfig(context, manager, reached, by_us=True, name=FOREGROUND)
        on_ready(Started(plan.steps, time.monotonic() - begun, reached, kubeconfig=written))
    _until_over(context, manager, state)


def _until_over(context: Context, manager: UserManager, state: UnitState) -> None:
    """Wait until K3s ends. Raises RootlessError with the cause, unless a stop was requested."""
    while not state.at_rest:
        deadline = time.monotonic() + _TURN + _RECONNECTION
        lasting = ReconnectingManager(context, manager, deadline, state.name)
        lasting.wait_change(_TURN)
        state = lasting.unit(state.name)
    if state.failed:
        error = death.after_ready(context, state)
        if error is not None:
            raise error


def _stop(context: Context) -> bool:
    """Stop K3s and the watch, and return whether that worked.

    If it did not, systemd stops them when this process ends.
    """
    try:
        with context.manager() as manager:
            for name in (FOREGROUND, WATCH):
                if not manager.unit(name).at_rest:
                    manager.stop(name)
    except RootlessError as error:
        context.notice(f"cannot stop K3s: {error.message}; systemd stops it when this command ends")
        return False
    return True


def _programs() -> Programs:
    """Find the programs of the units. Raises PreflightFailed."""
    found = {name: shutil.which(name, path=_SEARCH) for name in ("flock", "true", "rm")}
    for name, path in found.items():
        if path is None:
            raise PreflightFailed(
                f"cannot run K3s in this terminal: `{name}` was not found in {_SEARCH}",
                hint="install util-linux and coreutils, or start K3s with: k3s-rootless up",
            )
    return Programs(found["flock"] or "", found["true"] or "", found["rm"] or "")
