"""`k3s-rootless check --admin-script`: what an administrator has to do here, as one script to
review.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless import __version__
from k3s_rootless.errors import UnsupportedHost
from k3s_rootless.finding import Mender, Verdict
from k3s_rootless.preflight.remedies import admin_script, nixos

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.cli.session import Session
    from k3s_rootless.finding import Finding


def give(session: Session, findings: Sequence[Finding], *, undo: bool) -> None:
    """Answer with the script alone, so that it can be written to a file; whatever else there is to
    say goes to stderr.

    Raises UnsupportedHost where no script would do: what it changes would be for nothing.
    """
    from k3s_rootless.preflight.probes import host as probes

    if not undo and (lost := _lost(findings)):
        raise UnsupportedHost(
            f"no script makes this host run rootless K3s: {lost.check}: {lost.reason}",
            hint=lost.remedy.text if lost.remedy else None,
        )

    host = admin_script.Host(
        session.user, session.uid, probes.distribution(session.paths.root), __version__
    )
    mended = [one for one in findings if one.verdict in {Verdict.FAIL, Verdict.WARN}]
    asked = admin_script.wanted(mended)
    if undo:
        text = admin_script.render_undo(host)
    elif not asked:
        text = ""
        session.report.story("nothing for an administrator to do")
    elif host.family == "nixos":
        text = nixos.declared(asked, session.user)
    else:
        text = admin_script.render(mended, host)
    for one in mended:
        if one.remedy is not None and one.remedy.mender is not Mender.ADMINISTRATOR:
            session.report.story(f"not in the script: {one.check}, which {_who(one.remedy.mender)}")
    if text:
        # In UTF-8 under any locale, since root runs it: the same bytes that JSON holds.
        session.report.verbatim(text.rstrip("\n").encode())
    covered = [one.check for ones in asked.values() for one in ones]
    session.report.document(
        {"script": text, "undo": undo, "covers": [] if undo else covered, "errors": []}
    )


def _lost(findings: Sequence[Finding]) -> Finding | None:
    nobodys = (
        one
        for one in findings
        if one.verdict is Verdict.FAIL and one.remedy and one.remedy.mender is Mender.NOBODY
    )
    return next(nobodys, None)


def _who(mender: Mender) -> str:
    return (
        "nobody can mend on this host"
        if mender is Mender.NOBODY
        else "you can mend yourself: k3s-rootless check"
    )
