"""The sequence of `up` once k3s is printing its version: check, plan, perform, wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.finding import Verdict
from k3s_rootless.k3s import needs
from k3s_rootless.observation import Known
from k3s_rootless.operations import first_start, installation, rotation, server_settings
from k3s_rootless.operations.check import checking, outcome
from k3s_rootless.operations.environment import look
from k3s_rootless.operations.events import Lacking, StartAhead
from k3s_rootless.operations.launch import conflicts, perform, until_ready
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import delegation
from k3s_rootless.service.plan import outage, planner
from k3s_rootless.service.plan.rotation import stopped_for
from k3s_rootless.service.plan.steps import Reexecute, Reload
from k3s_rootless.service.systemd import logind
from k3s_rootless.service.unit import standing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3s_rootless.finding import Finding
    from k3s_rootless.operations.check.probing import Probing
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.events import PhaseReached
    from k3s_rootless.operations.up import Confirm, Request
    from k3s_rootless.preflight.facts import K3sBinary
    from k3s_rootless.service.facts import ControllerReach, Found, UnitState
    from k3s_rootless.service.plan.outage import Outage
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of an `up`, what was found, and the outage of a running K3s that the steps mean."""

    steps: tuple[Step, ...]
    found: Found
    outage: Outage | None


@dataclass(frozen=True, slots=True)
class Started:
    """K3s after `up` or `restart`.

    `reached` are the phases of the wait, None without a wait. `restart_needed` is the cause for
    which a running K3s needs a restart.
    """

    steps: tuple[Step, ...]
    seconds: float
    reached: Sequence[PhaseReached] | None
    restart_needed: str | None = None

    @property
    def by_us(self) -> bool:
        """Whether this run started K3s."""
        return perform.starts(self.steps)

    @property
    def last_phase(self) -> str:
        """The name of the last phase that K3s reached; empty without a wait."""
        if not self.reached:
            return ""
        return self.reached[-1].phase.name

    @property
    def ready(self) -> bool | None:
        """Whether K3s is ready; None if this run did not wait for it."""
        if self.reached is None:
            return None
        return until_ready.means_ready(self.reached)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A host that is ready for K3s: where the unit belongs, its k3s, and the controllers."""

    directory: Path
    k3s: K3sBinary
    reach: ControllerReach


def plan(context: Context, request: Request, examination: Probing) -> Plan:
    """Check the host, and return the plan. Changes nothing."""
    with context.manager() as manager:
        directory = first_start.unit_directory(manager, context.paths)
        checked = _checked(context, manager, request, examination, directory, None)
        with perform.locked(context):
            return _plan(context, manager, request, checked)


def up(
    context: Context,
    request: Request,
    examination: Probing,
    confirm: Confirm,
    begun: float,
) -> Started:
    """Check the host, perform the plan, and wait; `begun` (time.monotonic) is when `up` began."""
    with context.manager() as manager:
        directory = first_start.unit_directory(manager, context.paths)
        state = _reloaded(context, manager, directory)
        checked = _checked(context, manager, request, examination, directory, state)
        with perform.locked(context):
            made = _plan(context, manager, request, checked)
            if made.outage is not None and not request.restart:
                _require_consent(made.outage, confirm)
            _warn_without_lingering(context)
            _perform(context, manager, request, made)
        restart_needed = None
        if not perform.starts(made.steps):
            restart_needed = _pending_restart(context, manager, made)
        reached = None
        if request.timeout is not None:
            version = checked.k3s.version
            reached = until_ready.until_ready(
                context,
                manager,
                version.value if isinstance(version, Known) else None,
                seconds=request.timeout,
                until=request.until,
                started=perform.starts(made.steps),
                state=None if made.steps else made.found.state,
            )
    return Started(made.steps, time.monotonic() - begun, reached, restart_needed)


def _reloaded(context: Context, manager: UserManager, directory: Path) -> UnitState | None:
    """Let systemd read the unit again if its files changed; return the unit if they did not.

    The checks judge the unit as systemd has read it, and a user may have fixed a file since.
    """
    state = installation.observed(manager, directory)
    if not state.needs_reload:
        return state
    perform.step(context, manager, Reload("the unit or a drop-in changed after systemd read it"))
    return None


def _checked(
    context: Context,
    manager: UserManager,
    request: Request,
    examination: Probing,
    directory: Path,
    state: UnitState | None,
) -> _Checked:
    """Check the host. `state` is the unit if it is known. Raises PreflightFailed."""
    facts, reach = examination.finish(manager, asked=state)
    # Before the checks, which may fail for a port in use: the free ports are printed by then.
    if state is None or not state.running:
        foreseen = first_start.foreseen(manager.unit(UNIT), directory)
        conflicts.report(context, foreseen, manager.environment)
    _require_ready(context, checking.judge(facts), request.ignored)
    return _Checked(directory, facts.k3s, reach)


def _require_ready(context: Context, findings: Sequence[Finding], ignored: Sequence[str]) -> None:
    failed = outcome.failures(findings, ignored)
    blocking = tuple(finding for finding in failed if not outcome.fixed_by_up(finding))
    unknown = outcome.unknown(findings, ignored)
    if blocking:
        context.listener(Lacking((*failed, *unknown)))
        raise outcome.refusal(blocking)
    for finding in unknown:
        context.notice(f"could not check {finding.check}: {finding.reason}")
    outcome.warn_about_release(context, findings)
    passed = sum(finding.verdict in {Verdict.PASS, Verdict.INFO} for finding in findings)
    summary = f"host checked: {passed} of {len(findings)} passed"
    left_out = len(outcome.failures(findings)) - len(failed)
    if left_out:
        summary += f", {left_out} ignored"
    heeded = outcome.not_ignored(findings, ignored)
    warned = ", ".join(one.check for one in heeded if one.verdict is Verdict.WARN)
    if warned:
        summary += f"; warnings, see `k3s-rootless check`: {warned}"
    context.notice(summary)


def _plan(context: Context, manager: UserManager, request: Request, checked: _Checked) -> Plan:
    desired = installation.desired(checked.k3s, checked.directory, request.unit_file)
    manager.watch(UNIT)  # before the unit is read: a change after that sends a signal
    reexecute = delegation.only_reexecution_lacks(checked.reach, needs.CONTROLLERS)
    found = installation.found(context, manager, desired.path, reexecute=reexecute)
    drop_ins = installation.renewed_drop_ins(context, desired, force=request.force)
    steps = planner.up(desired, found, drop_ins, force=request.force)
    foreseen = first_start.foreseen(found.state, checked.directory)
    rotate = rotation.needed(context, manager.environment, foreseen, checked.k3s.path or "")
    steps = stopped_for(rotate, steps, found.state)
    return Plan(steps, found, outage.of(steps, found.state, found.text, desired.version))


def _require_consent(stops: Outage, confirm: Confirm) -> None:
    """Raise UsageError if there is no user to ask, RootlessError if the answer is no."""
    described = stops.describe()
    answer = confirm(f"{described}. Restart K3s now?")
    if answer is None:
        raise UsageError(
            f"cannot apply the changes: {described}",
            hint="repeat the command with --restart: k3s-rootless up --restart",
            details={"restart": stops.document()},
        )
    if not answer:
        raise RootlessError("nothing was changed: K3s keeps running")


def _warn_without_lingering(context: Context) -> None:
    found = logind.lingers(context.user, context.paths.root)
    if isinstance(found, Known) and not found.value:
        context.notice(
            "K3s stops when your last session ends; let it outlive that with: k3s-rootless"
            " linger on"
        )


def _perform(context: Context, manager: UserManager, request: Request, made: Plan) -> None:
    look.warn_of_strange(context, manager)
    if perform.starts(made.steps):
        context.listener(StartAhead())
    for step in made.steps:
        perform.step(context, manager, step)
        if isinstance(step, Reexecute):
            _require_effective(context, manager, request.ignored)


def _require_effective(context: Context, manager: UserManager, ignored: Sequence[str]) -> None:
    """Check again after the manager was re-executed: its controllers must be effective now."""
    facts, _ = checking.begin(context).finish(manager)
    failed = outcome.failures(checking.judge(facts), ignored)
    if failed:
        context.listener(Lacking(failed))
        raise outcome.refusal(failed)


def _pending_restart(context: Context, manager: UserManager, made: Plan) -> str | None:
    """Return why a running K3s needs a restart, and report it; None if it needs none."""
    state = made.found.state
    if made.steps:
        state = manager.unit(UNIT)
    else:
        context.notice("nothing to do: the unit is installed, enabled and running")
    cause = _restart_cause(context, manager, state, made)
    if cause:
        context.notice(f"a restart is needed: {cause}; apply it with: k3s-rootless restart")
    return cause


def _restart_cause(
    context: Context, manager: UserManager, state: UnitState, made: Plan
) -> str | None:
    variables = look.pending(manager.environment, state)
    if isinstance(variables, Known) and variables.value:
        return standing.changed_since(variables.value)
    owed = drop_in.restart_owed(state, made.found.changed)
    return owed or server_settings.of(context, state, manager.environment).outdated
