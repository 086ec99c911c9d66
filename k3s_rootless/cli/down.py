"""`k3s-rootless down`: stop K3s."""

from __future__ import annotations

import click

from k3s_rootless.cli.options import json_option


@click.command("down")
@click.option("--disable", is_flag=True, help="Also keep it from starting with your next session.")
@json_option
def command(*, disable: bool, as_json: bool) -> None:
    """Stop K3s. Its unit and its data stay."""
    from k3s_rootless.cli import status
    from k3s_rootless.cli.session import Session
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service import apply, plan, steps

    session = Session.of("down" if as_json else None)
    waiting = "waiting for another k3s-rootless to end"
    with session.manager() as manager, apply.locked(session.paths.lock, lambda: session.report.story(waiting)):
        state = manager.unit(UNIT)
        if state.load_state == "not-found":
            raise status.absence(state)
        planned = plan.down(state, disable=disable)
        for step in planned:
            session.report.story(f"{step.describe()}: {step.cause}")
            apply.perform(step, manager)
        after = manager.unit(UNIT)
        if after.active_state == "failed":
            # K3s answers SIGTERM with status 1 (seen with v1.21.2), which systemd calls a failure: it was asked for.
            apply.perform(steps.ResetFailed(UNIT, "it was stopped"), manager)
            after = manager.unit(UNIT)
    starts = after.file_state == "enabled"
    session.report.answer("K3s is down" + ("; it starts again with your next session" if starts else ""))
    session.report.document({"changed": bool(planned), "active": after.active_state, "enabled": starts, "errors": []})
