"""`k3s-rootless restart`: K3s anew, with what is configured now."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import json_option, timeout_option, wait_for_option, wait_option
from k3s_rootless.operations import installation
from k3s_rootless.service.observe import files as unit_files

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager


@click.command("restart")
@timeout_option
@wait_option
@wait_for_option
@json_option
def command(*, timeout: float, wait: bool, wait_for: str, as_json: bool) -> None:
    """Stop K3s and start it, and wait until it is ready."""
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import first_start, rotation
    from k3s_rootless.operations.launch import death, until_ready
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.plan import planner
    from k3s_rootless.service.plan.rotation import stopped_for

    session = Session.begin("restart" if as_json else None)
    begun = time.monotonic()
    with session.manager() as manager:
        with apply.locked(
            session.paths.lock,
            lambda: session.report.story("waiting for another k3s-rootless to end"),
        ):
            directory = first_start.unit_directory(manager, session.paths)
            state = installation.observed(manager, directory)
            if not state.installed:
                raise installation.absence(state)
            manager.watch(UNIT)
            state = _reloaded(session, manager, state)
            rotate = rotation.needed(session, manager.environment, state)
            steps = planner.restart(
                state, installation.left_behind(session, state, manager.environment)
            )
            for step in stopped_for(rotate, steps, state):
                session.report.story(f"{step.describe()}: {step.cause}")
                death.perform(session, manager, step)
        release = unit_files.release_of(state.fragment)
        reached = (
            until_ready.until_ready(
                session, manager, release, seconds=timeout, until=wait_for, started=True
            )
            if wait
            else None
        )
    seconds = time.monotonic() - begun
    ready = until_ready.means_ready(reached) if reached is not None else None
    if reached is not None and not ready:
        session.report.answer(
            f"K3s is on its way ({seconds:.1f} s): it reached `{reached[-1].phase.name}`"
        )
    else:
        session.report.answer(
            f"K3s is ready ({seconds:.1f} s)"
            if ready
            else "K3s was started anew; see k3s-rootless status"
        )
    phases = [one.document() for one in reached or ()]
    session.report.document(
        {"ready": ready, "seconds": round(seconds, 3), "phases": phases, "errors": []}
    )


def _reloaded(session: Session, manager: UserManager, state: UnitState) -> UnitState:
    """Let systemd read the unit if it changed; return the unit as K3s is started with it."""
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.plan import steps

    if not state.needs_reload:
        return state
    step = steps.Reload("the unit changed after systemd read it")
    session.report.story(f"{step.describe()}: {step.cause}")
    apply.perform(step, manager)
    return manager.unit(UNIT)
