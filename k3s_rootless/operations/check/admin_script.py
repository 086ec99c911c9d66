"""Create the script with the changes that an administrator must make on this host."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from k3s_rootless import __version__
from k3s_rootless.errors import UnsupportedHost
from k3s_rootless.finding import Finding, FixableBy, Verdict
from k3s_rootless.operations.check import checking, outcome
from k3s_rootless.operations.context import Context
from k3s_rootless.preflight.probes import host as host_probes
from k3s_rootless.preflight.remedies import admin_script, nixos


@dataclass(frozen=True, slots=True)
class AdminScript:
    """The script, or the script that undoes it.

    `text` is empty if no change by an administrator is needed. `covers` are the checks that the
    script fixes; empty for an undo. `notices` are lines for the user that are not in the script.
    """

    text: str
    undo: bool
    covers: tuple[str, ...]
    notices: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return the JSON document of `check --admin-script`."""
        return {"script": self.text, "undo": self.undo, "covers": list(self.covers), "errors": []}


def read(
    context: Context, ids: Sequence[str], ignored: Sequence[str], *, undo: bool
) -> AdminScript:
    """Check this host like `check`, and return the script for the problems.

    Raises PreflightFailed for root, UsageError for an id that matches no check, UnsupportedHost.
    """
    checked = checking.check(context, ids, ignored)
    counted = outcome.not_ignored(checked.findings, checked.ignored)
    return of_findings(context, counted, undo=undo)


def of_findings(context: Context, findings: Sequence[Finding], *, undo: bool) -> AdminScript:
    """Return the script for these findings.

    Raises UnsupportedHost if no script can make K3s run on this host, because its changes would be
    useless.
    """
    if not undo:
        _require_fixable(findings)
    wrong = [one for one in findings if one.verdict in {Verdict.FAIL, Verdict.WARN}]
    fixed = admin_script.administrator_remedies(wrong)
    distribution = host_probes.distribution(context.paths.root)
    host = admin_script.Host(context.user, context.uid, distribution, __version__)
    notices = []
    text = ""
    if undo:
        text = admin_script.render_undo(host)
    elif not fixed:
        notices.append("no change by an administrator is needed")
    elif host.family == "nixos":
        text = nixos.render(fixed, context.user)
    else:
        text = admin_script.render(wrong, host)
    for one in wrong:
        remedy = one.remedy
        if remedy is not None and remedy.fixable_by is not FixableBy.ADMINISTRATOR:
            notices.append(f"not in the script: {one.check}; {remedy.label}: {remedy.text}")
    covers: tuple[str, ...] = ()
    if not undo:
        covers = tuple(one.check for ones in fixed.values() for one in ones)
    return AdminScript(text, undo, covers, tuple(notices))


def _require_fixable(findings: Sequence[Finding]) -> None:
    for one in findings:
        remedy = one.remedy
        if one.verdict is Verdict.FAIL and remedy and remedy.fixable_by is FixableBy.NONE:
            raise UnsupportedHost(
                f"no script can prepare this host for rootless K3s: {one.check}: {one.reason}",
                hint=remedy.text,
            )
