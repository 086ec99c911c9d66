"""The steps of `up` after the facts of the host were read: check, plan, perform, wait."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from k3s_rootless.finding import Verdict
from k3s_rootless.k3s import needs
from k3s_rootless.observation import Known
from k3s_rootless.operations import (
    consent,
    first_start,
    installation,
    node_files,
    renewal,
    rotation,
    server_settings,
)
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.check import checking, outcome
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.environment import proxy_hint, reading
from k3s_rootless.operations.foreground import active
from k3s_rootless.operations.kubeconfig import after_start
from k3s_rootless.operations.launch import perform, until_ready
from k3s_rootless.operations.launch.events import ChecksFailed, StartAhead
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import delegation
from k3s_rootless.service.plan import outage, planner
from k3s_rootless.service.plan.rotation import stopped_for
from k3s_rootless.service.plan.steps import Reexecute
from k3s_rootless.service.systemd import logind
from k3s_rootless.service.unit import pending_changes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3s_rootless.finding import Finding
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.launch.events import PhaseReached
    from k3s_rootless.operations.up import Host, Request
    from k3s_rootless.service.facts import Found, UnitState
    from k3s_rootless.service.plan.outage import Outage
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps of an `up`, the state they are based on, and the outage of K3s that they cause."""

    steps: tuple[Step, ...]
    found: Found
    outage: Outage | None


class Result(NamedTuple):
    """The performed steps, the reached phases, and the reason why a restart is needed.

    `kubeconfig` is the file that K3s has written, if the run waited for it.
    """

    steps: tuple[Step, ...]
    reached: Sequence[PhaseReached] | None
    restart_needed: str | None
    kubeconfig: Path | None = None


def plan(context: Context, manager: UserManager, request: Request, host: Host) -> Plan:
    """Check the host, and return the plan. Changes nothing."""
    active.require_none(context, "start the unit")
    _check(context, manager, request, host)
    with context.locked():
        return _plan(context, manager, request, host)


def up(
    context: Context,
    manager: UserManager,
    request: Request,
    host: Host,
    ask: Ask,
) -> Result:
    """Check the host, perform the plan, and wait."""
    active.require_none(context, "start the unit")
    _check(context, manager, request, host)
    with context.locked():
        unfinished.require_none(context)
        made = _plan(context, manager, request, host)
        if made.outage is not None and not request.restart:
            _require_consent(made.outage, ask)
        _warn_without_lingering(context)
        _perform(context, manager, request, made)
        unfinished.forget_stop(context)
    starts = perform.starts(made.steps)
    restart_needed = None if starts else _pending_restart(context, manager, made)
    if request.timeout is None:
        return Result(made.steps, None, restart_needed)
    version = host.facts.k3s.version
    reached = until_ready.until_ready(
        context,
        manager,
        version.value if isinstance(version, Known) else None,
        seconds=request.timeout,
        until=request.until,
        started=starts,
        state=None if made.steps else made.found.state,
    )
    kubeconfig = after_start.kubeconfig(context, manager, reached, by_us=starts)
    return Result(made.steps, reached, restart_needed, kubeconfig)


def _check(context: Context, manager: UserManager, request: Request, host: Host) -> None:
    """Check the facts of the host. Raises PreflightFailed."""
    # The free ports are printed before the checks, which may fail for a port in use.
    if host.state is None or not host.state.running:
        # Imported here: 20 ms, which an `up` of a running K3s does not need.
        from k3s_rootless.operations.launch import conflicts

        foreseen = first_start.foreseen(manager.unit(UNIT), host.directory)
        conflicts.report(context, foreseen, manager.environment)
    require_ready(context, checking.judge(host.facts), request.ignored)


def require_ready(context: Context, findings: Sequence[Finding], ignored: Sequence[str]) -> None:
    """Report a summary of the findings. Raises PreflightFailed if the host is not ready."""
    failed = outcome.failures(findings, ignored)
    blocking = tuple(finding for finding in failed if not outcome.fixed_by_up(finding))
    unknown = outcome.unknown(findings, ignored)
    if blocking:
        context.listener(ChecksFailed((*failed, *unknown)))
        raise outcome.refusal(blocking)
    for finding in unknown:
        context.notice(f"cannot check {finding.check}: {finding.reason}")
    outcome.warn_about_release(context, findings)
    passed = sum(finding.verdict in {Verdict.PASS, Verdict.INFO} for finding in findings)
    summary = f"host checked: {passed} of {len(findings)} passed"
    left_out = len(outcome.failures(findings)) - len(failed)
    if left_out:
        summary += f", {left_out} ignored"
    heeded = outcome.not_ignored(findings, ignored)
    warned = ", ".join(one.check for one in heeded if one.verdict is Verdict.WARN)
    if warned:
        summary += f"; warnings: {warned}; details: k3s-rootless check"
    context.notice(summary)


def _plan(context: Context, manager: UserManager, request: Request, host: Host) -> Plan:
    desired = installation.desired(host.facts.k3s, host.directory, request.unit_file)
    manager.watch(UNIT)  # before the unit is read: a later change sends a signal
    reexecute = delegation.only_reexecution_lacks(host.reach, needs.CONTROLLERS)
    found = installation.found(context, manager, desired.path, reexecute=reexecute)
    drop_ins = renewal.steps(context, desired, force=request.force)
    steps = planner.up(desired, found, drop_ins, force=request.force)
    foreseen = first_start.foreseen(found.state, host.directory)
    rotate = rotation.needed(context, manager.environment, foreseen, host.facts.k3s.path or "")
    steps = stopped_for(rotate, steps, found.state)
    return Plan(steps, found, outage.of(steps, found.state, found.text, desired.version))


def _require_consent(stops: Outage, ask: Ask) -> None:
    """Raise UsageError if no user can answer, RootlessError if the answer is no."""
    described = stops.describe()
    consent.require(
        ask,
        f"{described}. Restart K3s now?",
        unanswered=f"cannot apply the changes: {described}",
        hint="to allow the restart, run: k3s-rootless up --restart",
        refused="nothing was changed: K3s keeps running",
        details={"restart": stops.document()},
    )


def _warn_without_lingering(context: Context) -> None:
    found = logind.lingers(context.user, context.paths.root)
    if isinstance(found, Known) and not found.value:
        context.notice(
            "K3s stops when your last session ends; to keep it running after logout, run:"
            " k3s-rootless linger on"
        )


def _perform(context: Context, manager: UserManager, request: Request, made: Plan) -> None:
    reading.warn_about_internal(context, manager)
    proxy_hint.report(context, manager)
    if perform.starts(made.steps):
        context.listener(StartAhead())
    for step in made.steps:
        perform.step(context, manager, step)
        if isinstance(step, Reexecute):
            require_effective(context, manager, request.ignored)


def require_effective(context: Context, manager: UserManager, ignored: Sequence[str]) -> None:
    """Check that the controllers are effective after the user manager was re-executed."""
    facts, _ = checking.begin(context).finish(manager)
    failed = outcome.failures(checking.judge(facts), ignored)
    if failed:
        context.listener(ChecksFailed(failed))
        raise outcome.refusal(failed)


def _pending_restart(context: Context, manager: UserManager, made: Plan) -> str | None:
    """Report why a running K3s needs a restart, and return the reason; None if it needs none."""
    state = made.found.state
    if made.steps:
        state = manager.unit(UNIT)
    else:
        context.notice("nothing to do: the unit is installed, enabled and running")
    cause = _restart_cause(context, manager, state, made)
    if cause:
        context.notice(f"restart required: {cause}; apply it with: k3s-rootless restart")
    return cause


def _restart_cause(
    context: Context, manager: UserManager, state: UnitState, made: Plan
) -> str | None:
    variables = reading.pending(manager.environment, state)
    if isinstance(variables, Known) and variables.value:
        return pending_changes.changed_since(variables.value)
    of_files = drop_in.restart_pending(state, made.found.changed)
    if of_files:
        return of_files
    settings = server_settings.of(context, state, manager.environment)
    return settings.outdated or node_files.outdated(state, settings)
