"""`k3s-rootless linger`: whether K3s outlives your last session."""

from __future__ import annotations

import click

from k3s_rootless.cli.options import json_option


@click.command("linger")
@click.argument("switch", type=click.Choice(["on", "off", "status"]), default="status")
@json_option
def command(*, switch: str, as_json: bool) -> None:
    """Let K3s outlive your last session, or not; `status` tells.

    Exit codes: 0 done, or it lingers; 1 it does not; 6 only an administrator can switch it here.
    """
    from k3s_rootless.cli.session import Session
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.observation import Unknown
    from k3s_rootless.service.systemd import logind

    session = Session.begin("linger" if as_json else None)
    asked = switch != "status"
    found = logind.lingers(session.user, session.paths.root)
    # Where it is as it should be, nobody needs to be asked, and nobody can refuse.
    if asked and (isinstance(found, Unknown) or found.value != (switch == "on")):
        logind.set_lingering(session.uid, session.user, on=switch == "on")
        found = logind.lingers(session.user, session.paths.root)
    if isinstance(found, Unknown):
        raise RootlessError(f"cannot tell whether {session.user} lingers: {found.reason}")
    if asked and found.value != (switch == "on"):
        raise RootlessError(
            f"systemd-logind agreed to switch lingering {switch}, and did not",
            hint="loginctl user-status",
        )
    words = (
        "K3s outlives your last session" if found.value else "K3s stops when your last session ends"
    )
    session.report.answer(f"lingering is {'on' if found.value else 'off'}: {words}")
    session.report.document({"lingers": found.value, "errors": []})
    click.get_current_context().exit(0 if found.value or asked else 1)
