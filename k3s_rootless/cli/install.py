"""`k3s-rootless install`, and what a plan is made of: the unit as it should be, and what was
found.
"""

from __future__ import annotations

from pathlib import Path

import click

from k3s_rootless.cli.options import from_option, json_option
from k3s_rootless.operations.first_start import unit_directory
from k3s_rootless.paths import UNIT


@click.command("install")
@from_option
@click.option(
    "--force", is_flag=True, help="Replace a unit or drop-in that was edited; a copy is kept."
)
@json_option
def command(*, given: Path | None, force: bool, as_json: bool) -> None:
    """Write the unit and enable it, without starting K3s.

    It is the unit that K3s ships with the release that is installed. `up` does this as well.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import installation
    from k3s_rootless.operations.check import checking, outcome
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.plan import planner

    session = Session.begin("install" if as_json else None)
    with checking.begin(session) as examination, session.manager() as manager:
        facts, _ = examination.finish(manager)
        outcome.require_k3s(session, checking.judge(facts))
        wanted = installation.desired(facts.k3s, unit_directory(manager, session.paths), given)
        with apply.locked(session.paths.lock, lambda: session.report.story(installation.WAITING)):
            drop_ins = installation.renewed_drop_ins(session, wanted, force=force)
            steps = planner.install(
                wanted, installation.found(session, manager, wanted.path), drop_ins, force=force
            )
            for step in steps:
                session.report.story(f"{step.describe()}: {step.cause}")
                apply.perform(step, manager)
            state = manager.unit(UNIT)
    told = (
        "K3s is installed for this user"
        if steps
        else "nothing to do: the unit is installed and enabled"
    )
    session.report.answer(f"{told}; start it with: k3s-rootless up")
    session.report.document(
        {
            "changed": bool(steps),
            "unit": str(wanted.path),
            "release": wanted.version,
            "enabled": state.file_state == "enabled",
            "steps": [
                {"step": type(step).__name__, "does": step.describe(), "cause": step.cause}
                for step in steps
            ],
            "errors": [],
        }
    )
