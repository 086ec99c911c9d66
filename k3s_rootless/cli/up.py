"""`k3s-rootless up`: from nothing to a K3s that is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import (
    from_option,
    json_option,
    timeout_option,
    wait_for_option,
    wait_option,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from k3s_rootless.cli.session import Session
    from k3s_rootless.finding import Finding
    from k3s_rootless.operations.events import PhaseReached
    from k3s_rootless.preflight.facts import K3sBinary
    from k3s_rootless.service.facts import ControllerReach, DesiredUnit, Found, UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


@click.command("up")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@timeout_option
@wait_option
@wait_for_option
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="ID",
    help="Go on although this check, or group of checks, fails.",
)
@click.option(
    "--force", is_flag=True, help="Replace a unit or drop-in that was edited; a copy is kept."
)
@click.option(
    "--restart", is_flag=True, help="Restart a running K3s without asking if the changes need it."
)
@from_option
@json_option
def command(  # noqa: PLR0913 (one for each option)
    *,
    dry_run: bool,
    timeout: float,
    wait: bool,
    wait_for: str,
    ignored: tuple[str, ...],
    force: bool,
    restart: bool,
    given: Path | None,
    as_json: bool,
) -> None:
    """Bring K3s up for this user, and wait until it is ready.

    Checks the host, writes the unit for the installed K3s, enables and starts it. A second run
    changes nothing. If a running K3s must restart for the changes, which stops all pods, `up` asks
    first; without a terminal it needs --restart.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.check import checking

    begun, session = time.monotonic(), Session.begin("up" if as_json else None)
    # k3s is asked for its release while the rest is loaded
    examination = checking.begin(session, ignored)
    from k3s_rootless.cli import up_plan
    from k3s_rootless.operations import first_start, installation
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.plan import outage

    with examination, session.manager() as manager:
        directory = first_start.unit_directory(manager, session.paths)
        asked = _read_anew(session, manager, directory, dry_run=dry_run)
        facts, reach = examination.finish(manager, asked=asked, load=_load)
        # Before the checks, which may end here for a port that is taken: what is free instead is to
        # be known by then.
        _mind_rivals(session, manager, directory, asked)
        _require_ready(session, checking.judge(facts), ignored)
        wanted = installation.desired(facts.k3s, directory, given)
        with apply.locked(session.paths.lock, lambda: session.report.story(installation.WAITING)):
            found, steps = _plan(session, manager, wanted, reach, facts.k3s, force=force)
            stops = outage.of(steps, found.state, found.text, wanted.version)
            if dry_run:
                up_plan.show(session, steps, stops)
                return
            up_plan.require_consent(session, None if restart else stops)
            _mind_lingering(session)
            _perform(session, manager, steps, ignored)
        restart_needed = (
            None if _starts(steps) else _tell_of_restart(session, manager, found, steps)
        )
        reached = (
            _wait(session, manager, facts.k3s, found, steps, timeout=timeout, until=wait_for)
            if wait
            else None
        )
    _answer(session, steps, time.monotonic() - begun, reached, restart_needed)


def _plan(
    session: Session,
    manager: UserManager,
    wanted: DesiredUnit,
    reach: ControllerReach,
    k3s: K3sBinary,
    *,
    force: bool,
) -> tuple[Found, Sequence[Step]]:
    from k3s_rootless.k3s import needs
    from k3s_rootless.operations import first_start, installation, rotation
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.observe import delegation
    from k3s_rootless.service.plan import planner
    from k3s_rootless.service.plan.rotation import stopped_for

    manager.watch(UNIT)  # before the look: what changes after it is told
    reexecute = delegation.only_reexecution_lacks(reach, needs.CONTROLLERS)
    found = installation.found(session, manager, wanted.path, reexecute=reexecute)
    steps = planner.up(
        wanted, found, installation.renewed_drop_ins(session, wanted, force=force), force=force
    )
    foreseen = first_start.foreseen(found.state, wanted.path.parent)
    rotate = rotation.needed(session, manager.environment, foreseen, k3s.path or "")
    return found, stopped_for(rotate, steps, found.state)


def _read_anew(
    session: Session, manager: UserManager, directory: Path, *, dry_run: bool
) -> UnitState | None:
    """Let systemd read the unit anew if need be; give the unit where it was not."""
    # What is judged below is the unit as systemd has read it: somebody may have mended it since.
    from k3s_rootless.operations import installation
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.plan import steps

    state = None if dry_run else installation.observed(manager, directory)
    if state is None or not state.needs_reload:
        return state
    step = steps.Reload("the unit or a drop-in changed after systemd read it")
    session.report.story(f"{step.describe()}: {step.cause}")
    apply.perform(step, manager)
    return None


def _mind_rivals(
    session: Session, manager: UserManager, directory: Path, asked: UnitState | None
) -> None:
    if asked is not None and asked.running:
        return  # what it wants, it has
    from k3s_rootless.operations import first_start
    from k3s_rootless.operations.launch import conflicts
    from k3s_rootless.paths import UNIT

    conflicts.mind(
        session, first_start.foreseen(manager.unit(UNIT), directory), manager.environment
    )


def _tell_of_restart(
    session: Session, manager: UserManager, found: Found, steps: Sequence[Step]
) -> str | None:
    from k3s_rootless.observation import Known
    from k3s_rootless.operations import server_settings
    from k3s_rootless.operations.environment import look
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.drop_ins import drop_in
    from k3s_rootless.service.unit import standing

    if not steps:
        session.report.story("nothing to do: the unit is installed, enabled and running")
    state = manager.unit(UNIT) if steps else found.state
    variables = look.pending(manager.environment, state)
    changed = variables.value if isinstance(variables, Known) else ()
    owed = (
        standing.changed_since(changed) if changed else drop_in.restart_owed(state, found.changed)
    )
    owed = owed or server_settings.of(session, state, manager.environment).outdated
    if owed:
        session.report.story(f"a restart is needed: {owed}; apply it with: k3s-rootless restart")
    return owed


def _wait(
    session: Session,
    manager: UserManager,
    k3s: K3sBinary,
    found: Found,
    steps: Sequence[Step],
    *,
    timeout: float,
    until: str,
) -> Sequence[PhaseReached]:
    from k3s_rootless.observation import Known
    from k3s_rootless.operations.launch import until_ready

    version = k3s.version.value if isinstance(k3s.version, Known) else None
    state, started = None if steps else found.state, _starts(steps)
    return until_ready.until_ready(
        session, manager, version, seconds=timeout, until=until, started=started, state=state
    )


def _starts(steps: Sequence[Step]) -> bool:
    from k3s_rootless.service.plan.steps import Restart, Start

    return any(isinstance(step, Start | Restart) for step in steps)


def _load() -> None:
    # What follows the examination, also before K3s is started: a death of its first moments is told
    # no later for it.
    from k3s_rootless.preflight.checks import checklist  # noqa: F401, I001 (as needed)
    from k3s_rootless.operations.environment import look  # noqa: F401
    from k3s_rootless.operations.readiness import watcher, conditions  # noqa: F401
    from k3s_rootless.cli.display import live  # noqa: F401
    from k3s_rootless.operations.launch import until_ready  # noqa: F401
    from k3s_rootless.cluster import api, kubeconfig  # noqa: F401
    from k3s_rootless.rootlesskit import client  # noqa: F401
    from k3s_rootless.service.plan import planner  # noqa: F401


def _require_ready(session: Session, findings: Sequence[Finding], ignored: Sequence[str]) -> None:
    from k3s_rootless.finding import Verdict
    from k3s_rootless.operations.check import outcome

    failed = outcome.failures(findings, ignored)
    blocking = tuple(finding for finding in failed if not outcome.fixed_by_up(finding))
    unknown = outcome.unknown(findings, ignored)
    if blocking:
        session.report.findings((*failed, *unknown), to_stderr=True)
        raise outcome.refusal(blocking)
    for finding in unknown:
        session.report.story(f"could not check {finding.check}: {finding.reason}")
    outcome.warn_about_release(session, findings)
    passed = sum(finding.verdict in {Verdict.PASS, Verdict.INFO} for finding in findings)
    left_out = len(outcome.failures(findings)) - len(failed)
    warned = ", ".join(
        one.check for one in outcome.not_ignored(findings, ignored) if one.verdict is Verdict.WARN
    )
    session.report.story(
        f"host checked: {passed} of {len(findings)} passed"
        + (f", {left_out} ignored" if left_out else "")
        + (f"; warnings, see `k3s-rootless check`: {warned}" if warned else "")
    )


def _perform(
    session: Session, manager: UserManager, steps: Sequence[Step], ignored: Sequence[str]
) -> None:
    from k3s_rootless.cli.display import live
    from k3s_rootless.operations.check import checking, outcome
    from k3s_rootless.operations.environment import look
    from k3s_rootless.operations.launch import death
    from k3s_rootless.service.plan.steps import Reexecute

    look.warn_of_strange(session, manager)
    if _starts(steps):
        _load()
        live.prepare(session.report)
    for step in steps:
        session.report.story(f"{step.describe()}: {step.cause}")
        death.perform(session, manager, step)
        if isinstance(step, Reexecute):
            # The step was to make the controllers effective: look whether it did, before K3s has to
            # find out.
            facts, _ = checking.begin(session).finish(manager)
            if failed := outcome.failures(checking.judge(facts), ignored):
                session.report.findings(failed, to_stderr=True)
                raise outcome.refusal(failed)


def _mind_lingering(session: Session) -> None:
    from k3s_rootless.observation import Known
    from k3s_rootless.service.systemd import logind

    found = logind.lingers(session.user, session.paths.root)
    if isinstance(found, Known) and not found.value:
        session.report.story(
            "K3s stops when your last session ends; let it outlive that with: k3s-rootless"
            " linger on"
        )


def _answer(
    session: Session,
    steps: Sequence[Step],
    seconds: float,
    reached: Sequence[PhaseReached] | None,
    restart_needed: str | None,
) -> None:
    from k3s_rootless.cli import up_plan
    from k3s_rootless.operations.launch import until_ready

    if reached is None:
        what = "K3s was started" if _starts(steps) else "K3s was already running"
        session.report.answer(f"{what}; check whether it is ready with `k3s-rootless status`")
    elif until_ready.means_ready(reached):
        session.report.answer(
            f"K3s is ready ({seconds:.1f} s); see `k3s-rootless ports` for what the host reaches"
        )
    else:
        session.report.answer(
            f"K3s is on its way ({seconds:.1f} s): it reached `{reached[-1].phase.name}`"
        )
    session.report.document(
        {
            "changed": bool(steps),
            "ready": until_ready.means_ready(reached) if reached is not None else None,
            "seconds": round(seconds, 3),
            "steps": up_plan.documents(steps),
            "phases": [one.document() for one in reached or ()],
            "restart_needed": restart_needed,
            "errors": [],
        }
    )
