"""`k3s-rootless down`: stop K3s."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from k3s_rootless.cli.options import json_option

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


@click.command("down")
@click.option(
    "--disable", is_flag=True, help="Also disable the unit: K3s does not start at login or boot."
)
@json_option
def command(*, disable: bool, as_json: bool) -> None:
    """Stop K3s. Its unit and its data stay."""
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations import installation
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service.act import apply
    from k3s_rootless.service.plan import planner, steps

    session = Session.begin("down" if as_json else None)
    waiting = "waiting for another k3s-rootless to end"
    with (
        session.manager() as manager,
        apply.locked(session.paths.lock, lambda: session.report.story(waiting)),
    ):
        state = manager.unit(UNIT)
        if state.load_state == "not-found":
            raise installation.absence(state)
        planned = planner.down(state, disable=disable)
        for step in planned:
            session.report.story(f"{step.describe()}: {step.cause}")
            apply.perform(step, manager)
        after = manager.unit(UNIT)
        if after.active_state == "failed":
            # K3s answers SIGTERM with status 1 (seen with v1.21.2), which systemd calls a failure:
            # it was asked for.
            apply.perform(steps.ResetFailed(UNIT, "it was stopped"), manager)
            after = manager.unit(UNIT)
    starts = after.file_state == "enabled"
    session.report.answer(
        "K3s is stopped." + (f" It starts again {_next_start(session)}." if starts else "")
    )
    session.report.document(
        {"changed": bool(planned), "active": after.active_state, "enabled": starts, "errors": []}
    )


def _next_start(session: Session) -> str:
    from k3s_rootless.observation import Unknown
    from k3s_rootless.service.systemd import logind

    lingers = logind.lingers(session.user, session.paths.root)
    if isinstance(lingers, Unknown):
        return "at your next login, or at the next boot if lingering is on"
    # With lingering, logind starts the user manager at boot, and logins find it running.
    return "at the next boot, since lingering is on" if lingers.value else "at your next login"
