"""Evaluate findings: which ones count, the resulting error, and what keeps K3s from starting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from k3s_rootless.errors import AdministratorNeeded, PreflightFailed, RootlessError, UnsupportedHost
from k3s_rootless.finding import Finding, FixableBy, Severity, Verdict, matches

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

_FIXED_BY_PLAN = frozenset({"unit.state", "config.certificates"})
"""The checks with failures that the plan of `up` fixes."""
_GET = ("k3s-rootless release get",)
"""The remedy of a host that lacks only K3s itself (`preflight.remedies.k3s_binary`)."""


def not_ignored(findings: Sequence[Finding], ignored: Sequence[str]) -> tuple[Finding, ...]:
    """Return the findings that the user does not ignore."""
    return tuple(one for one in findings if not any(matches(one.check, name) for name in ignored))


def failures(findings: Sequence[Finding], ignored: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Return the failed findings that are not ignored."""
    return tuple(one for one in not_ignored(findings, ignored) if one.verdict is Verdict.FAIL)


def unknown(findings: Sequence[Finding], ignored: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Return the unknown findings, not ignored, that could keep K3s from starting."""
    return tuple(
        one
        for one in not_ignored(findings, ignored)
        if one.verdict is Verdict.UNKNOWN and one.severity is Severity.FATAL
    )


def error(findings: Sequence[Finding], ignored: Sequence[str] = ()) -> RootlessError | None:
    """Return the error that results from the findings; None if this host is ready."""
    failed = failures(findings, ignored)
    if failed:
        return refusal(failed)
    not_checked = unknown(findings, ignored)
    if not_checked:
        names = ", ".join(one.check for one in not_checked)
        return RootlessError(
            f"cannot check whether this host is ready for rootless K3s: {names}",
            hint="the reasons are above; if you know that a check would pass, use --ignore ID",
        )
    return None


def refusal(failed: Sequence[Finding]) -> PreflightFailed:
    """Return the error for these failures; the most difficult one determines the exit code."""
    names = ", ".join(finding.check for finding in failed)
    fixable_by = {finding.remedy.fixable_by for finding in failed if finding.remedy}
    message = f"this host is not ready for rootless K3s: {names}"
    if FixableBy.NONE in fixable_by:
        return UnsupportedHost(message, hint="use another host; the reasons are above")
    if FixableBy.ADMINISTRATOR in fixable_by:
        return AdministratorNeeded(
            message,
            hint="let an administrator review and run the output of: k3s-rootless check"
            " --admin-script",
        )
    hint = "apply the fixes above, then run `k3s-rootless check`"
    if all(one.remedy and one.remedy.commands == _GET for one in failed):
        hint = "get K3s and start it with: k3s-rootless up --get"
    return PreflightFailed(message, hint=hint)


def fixed_by_up(finding: Finding) -> bool:
    """Return whether `up` fixes this, by its plan or by re-executing the user manager."""
    # Loading takes 13 ms before k3s is queried for its version; later, the checks have loaded it.
    from k3s_rootless.preflight.remedies import host

    return finding.check in _FIXED_BY_PLAN or finding.remedy == host.reexecute()


def warn_about_release(context: Context, findings: Sequence[Finding]) -> None:
    """Report warnings about the release of K3s."""
    for finding in findings:
        if finding.verdict is Verdict.WARN and matches(finding.check, "k3s"):
            context.notice(f"{finding.title}: {finding.observed}: {finding.reason}")


def require_k3s(context: Context, findings: Sequence[Finding]) -> None:
    """Raise PreflightFailed if there is no usable K3s; report everything else that is missing."""
    failed = failures(findings)
    lacking = tuple(finding for finding in failed if matches(finding.check, "k3s"))
    if lacking:
        # Imported here: 3 ms, which only a host without a usable K3s needs.
        from k3s_rootless.operations.launch.events import ChecksFailed

        context.listener(ChecksFailed(lacking))
        raise refusal(lacking)
    warn_about_release(context, findings)
    if failed:
        names = ", ".join(finding.check for finding in failed)
        context.notice(
            f"this host is not ready for rootless K3s: {names}; for details, run:"
            " k3s-rootless check"
        )
