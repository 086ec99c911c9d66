"""`k3s-rootless up`: from nothing to a K3s that is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import json_option, timeout_option, wait_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.cli.session import Session
    from k3s_rootless.service.steps import Step
    from k3s_rootless.service.systemd import UserManager


@click.command("up")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@timeout_option
@wait_option
@click.option("--ignore", "ignored", multiple=True, metavar="ID", help="Go on although this check, or group of checks, fails.")
@click.option("--force", is_flag=True, help="Replace a unit that was edited or is not ours; a copy is kept.")
@json_option
def command(*, dry_run: bool, timeout: float, wait: bool, ignored: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Bring K3s up for this user, and wait until it is ready.

    Checks the host, writes the unit for the installed K3s, enables and starts it. A second run changes nothing.
    """
    from k3s_rootless.cli import environment, follow, host, install
    from k3s_rootless.cli.session import Session
    from k3s_rootless.observation import Known
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service import apply, delegation, plan

    session = Session.of("up" if as_json else None)
    host.require_known(ignored)
    begun = time.monotonic()
    with session.manager() as manager:
        facts, reach = host.examine(session, manager)
        version = facts.k3s.version.value if isinstance(facts.k3s.version, Known) else None
        _require_ready(session, host.judge(facts), ignored)
        wanted = install.desired(facts, install.unit_directory(manager, session.paths))
        reexecute = delegation.only_reexecution_lacks(reach, host.NEEDED)
        with apply.locked(session.paths.lock, lambda: session.report.story("waiting for another k3s-rootless to end")):
            steps = plan.up(wanted, install.found(manager, wanted.path, reexecute=reexecute), force=force)
            if dry_run:
                _show_plan(session, steps)
                return
            environment.warn_of_strange(session, manager)
            manager.watch(UNIT)
            _perform(session, manager, steps, ignored)
        if not steps:
            session.report.story("nothing to do: the unit is installed, enabled and running")
        if wait:
            follow.until_ready(session, manager, version, seconds=timeout)
        pending = environment.pending(manager, manager.unit(UNIT))
    if wait:
        _mind_lingering(session)
    _answer(session, steps, time.monotonic() - begun, pending, ready=wait or None)


def _require_ready(session: Session, findings: Sequence, ignored: Sequence[str]) -> None:  # type: ignore[type-arg]
    from k3s_rootless.cli import host
    from k3s_rootless.finding import Verdict

    failed = host.failures(findings, ignored)
    blocking = tuple(finding for finding in failed if not host.mended_by_up(finding))
    unknown = tuple(finding for finding in findings if finding.verdict is Verdict.UNKNOWN)
    if blocking:
        session.report.findings((*failed, *unknown), to_stderr=True)
        raise host.refusal(blocking)
    for finding in unknown:
        session.report.story(f"could not check {finding.check}: {finding.reason}")
    passed = sum(finding.verdict is Verdict.PASS for finding in findings)
    left_out = len(host.failures(findings)) - len(failed)
    session.report.story(f"host checked: {passed} of {len(findings)} passed" + (f", {left_out} ignored" if left_out else ""))


def _perform(session: Session, manager: UserManager, steps: Sequence[Step], ignored: Sequence[str]) -> None:
    from k3s_rootless.cli import host
    from k3s_rootless.service import apply
    from k3s_rootless.service.steps import Reexecute

    for step in steps:
        session.report.story(f"{step.describe()}: {step.cause}")
        apply.perform(step, manager)
        if isinstance(step, Reexecute):
            # The step was to make the controllers effective: look whether it did, before K3s has to find out.
            facts, _ = host.examine(session, manager)
            if failed := host.failures(host.judge(facts), ignored):
                session.report.findings(failed, to_stderr=True)
                raise host.refusal(failed)


def _show_plan(session: Session, steps: Sequence[Step]) -> None:
    for number, step in enumerate(steps, 1):
        session.report.answer(f"{number}. {step.describe()}: {step.cause}")
    if not steps:
        session.report.answer("nothing to do")
    session.report.document({"dry_run": True, "steps": _documents(steps), "errors": []})


def _documents(steps: Sequence[Step]) -> list[dict[str, str]]:
    return [{"step": type(step).__name__, "does": step.describe(), "cause": step.cause} for step in steps]


def _mind_lingering(session: Session) -> None:
    from k3s_rootless.observation import Known
    from k3s_rootless.service import login

    found = login.lingers(session.user, session.paths.root)
    if isinstance(found, Known) and not found.value:
        session.report.story("K3s stops when your last session ends; let it outlive that with: k3s-rootless linger on")


def _answer(
    session: Session, steps: Sequence[Step], seconds: float, pending: tuple[str, ...] | None, *, ready: bool | None
) -> None:
    from k3s_rootless.cli import environment

    if ready:
        session.report.answer(f"K3s is ready ({seconds:.1f} s); see `k3s-rootless ports` for what the host reaches")
    else:
        session.report.answer("K3s was started; see `k3s-rootless status` for whether it is ready")
    if owed := environment.restart_owed(pending):
        session.report.answer(f"restart needed: {owed}")
    session.report.document(
        {
            "changed": bool(steps),
            "ready": ready,
            "seconds": round(seconds, 3),
            "steps": _documents(steps),
            "pending": None if pending is None else list(pending),
            "errors": [],
        }
    )
