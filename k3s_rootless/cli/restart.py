"""`k3s-rootless restart`: K3s anew, with what is configured now."""

from __future__ import annotations

import time

import click

from k3s_rootless.cli.options import json_option, timeout_option, wait_option


@click.command("restart")
@timeout_option
@wait_option
@json_option
def command(*, timeout: float, wait: bool, as_json: bool) -> None:
    """Stop K3s and start it, and wait until it is ready."""
    from k3s_rootless.cli import follow, status
    from k3s_rootless.cli.session import Session
    from k3s_rootless.paths import UNIT
    from k3s_rootless.service import apply, plan

    session = Session.of("restart" if as_json else None)
    begun = time.monotonic()
    with session.manager() as manager:
        with apply.locked(session.paths.lock, lambda: session.report.story("waiting for another k3s-rootless to end")):
            state = manager.unit(UNIT)
            if not state.installed:
                raise status.absence(state)
            manager.watch(UNIT)
            for step in plan.restart(state):
                session.report.story(f"{step.describe()}: {step.cause}")
                apply.perform(step, manager)
        if wait:
            follow.until_ready(session, manager, status.unit_version(state.fragment), seconds=timeout)
    seconds = time.monotonic() - begun
    session.report.answer(f"K3s is ready ({seconds:.1f} s)" if wait else "K3s was started anew; see k3s-rootless status")
    session.report.document({"ready": True if wait else None, "seconds": round(seconds, 3), "errors": []})
