"""Brings together what `check`, `up` and `diagnose` judge, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

from k3s_rootless.errors import AdministratorNeeded, PreflightFailed, RootlessError, UnsupportedHost
from k3s_rootless.finding import Finding, Mender, Severity, Verdict, matches
from k3s_rootless.operations.check.probing import Examination
from k3s_rootless.operations.events import Lacking

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.preflight.checks.judgement import Check
    from k3s_rootless.preflight.facts import Facts

NEEDED = frozenset({"cpu", "cpuset", "memory", "pids"})
_OF_PLAN = frozenset({"unit.state", "config.certificates"})
"""Checks whose failures the plan of `up` fixes."""
_OF_MANAGER = frozenset({"user_manager", "delegation", "unit"})


def asked(ids: Sequence[str]) -> tuple[Check, ...]:
    """Give the checks that ids or groups name; none stands for all."""
    from k3s_rootless.preflight.checks import checklist

    return tuple(
        check for check in checklist.CHECKS if not ids or any(matches(check.id, one) for one in ids)
    )


def findings(context: Context, ids: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Examine the host for these checks, reading only what they need, and judge it."""
    # Where everything is asked, the judges are loaded while the probes look.
    begun = Examination(
        context, frozenset().union(*(check.needs for check in asked(ids))) if ids else None
    )
    try:
        with context.manager() if begun.needs(*_OF_MANAGER) else nullcontext() as manager:
            facts, _ = begun.finish(manager)
    except RootlessError as error:
        facts, _ = begun.finish(None, error.message)
    from k3s_rootless.preflight.checks import checklist

    return checklist.judge(facts, asked(ids))


def begin(context: Context, ignored: Sequence[str] = ()) -> Examination:
    """Begin to read everything; `finish` it with the user manager.

    Raises UsageError for an id that names no check.
    """
    require_known(ignored)
    return Examination(context)


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Judge the host by all checks."""
    from k3s_rootless.preflight.checks import checklist

    return checklist.judge(facts)


def failures(findings: Sequence[Finding], ignored: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Give the failed findings that nobody asked to ignore."""
    return tuple(one for one in heeded(findings, ignored) if one.verdict is Verdict.FAIL)


def unseen(findings: Sequence[Finding], ignored: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Give those that nobody could look at, and that could keep K3s from starting."""
    return tuple(
        one
        for one in heeded(findings, ignored)
        if one.verdict is Verdict.UNKNOWN and one.severity is Severity.FATAL
    )


def heeded(findings: Sequence[Finding], ignored: Sequence[str]) -> tuple[Finding, ...]:
    """Leave out what somebody asked to ignore."""
    return tuple(one for one in findings if not any(matches(one.check, name) for name in ignored))


def left_to_up(finding: Finding) -> bool:
    """Tell whether `up` deals with this itself: a user manager that only has to look again, a unit
    that its plan judges.
    """
    from k3s_rootless.preflight.remedies import host

    return finding.remedy == host.reexecute() or finding.check in _OF_PLAN


def refusal(failed: Sequence[Finding]) -> PreflightFailed:
    """Give the error that these failures amount to; the hardest decides the exit code."""
    names = ", ".join(finding.check for finding in failed)
    menders = {finding.remedy.mender for finding in failed if finding.remedy}
    message = f"this host is not ready for rootless K3s: {names}"
    if Mender.NOBODY in menders:
        return UnsupportedHost(message, hint="use another host; the reasons are above")
    if Mender.ADMINISTRATOR in menders:
        return AdministratorNeeded(
            message,
            hint="give an administrator this to review and run: k3s-rootless check --admin-script",
        )
    return PreflightFailed(message, hint="run the commands above, then `k3s-rootless check`")


def tell_release(context: Context, findings: Sequence[Finding]) -> None:
    """Say what is to be said of the release of K3s, where it is no reason to refuse it."""
    for finding in findings:
        if finding.verdict is Verdict.WARN and matches(finding.check, "k3s"):
            context.notice(f"{finding.title}: {finding.observed}: {finding.reason}")


def require_k3s(context: Context, findings: Sequence[Finding]) -> None:
    """Refuse a host without a K3s that can be started; all else that is missing is told.

    Raises PreflightFailed.
    """
    failed = failures(findings)
    lacking = tuple(finding for finding in failed if matches(finding.check, "k3s"))
    if lacking:
        context.listener(Lacking(lacking))
        raise refusal(lacking)
    tell_release(context, findings)
    if failed:
        names = ", ".join(finding.check for finding in failed)
        context.notice(f"this host is not ready for rootless K3s: {names}; see: k3s-rootless check")


def require_known(ids: Sequence[str]) -> None:
    """Refuse an id that names no check and no group of checks. Raises UsageError."""
    if not ids:
        return
    from k3s_rootless.preflight.checks import checklist

    words = [check.id.split(".") for check in checklist.CHECKS]
    known = {".".join(parts[:length]) for parts in words for length in range(1, len(parts) + 1)}
    for asked in ids:
        if asked not in known:
            import difflib

            from k3s_rootless.errors import UsageError

            close = difflib.get_close_matches(asked, sorted(known), n=1)
            hint = (
                f"did you mean `{close[0]}`?"
                if close
                else "see the ids with: k3s-rootless check --json"
            )
            raise UsageError(f"there is no check `{asked}`", hint=hint)
