"""The answer of `check` as JSON has it, and the error that it amounts to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.errors import RootlessError
    from k3s_rootless.finding import Finding
    from k3s_rootless.operations.context import Context


def document(context: Context) -> dict[str, Any]:
    """Give the answer as JSON has it, of all checks; says nothing."""
    from k3s_rootless.operations.check import selection

    findings = selection.findings(context)
    return answered(findings, (), problem(findings, ()))


def problem(findings: Sequence[Finding], ignored: Sequence[str]) -> RootlessError | None:
    """Give the error that the answer amounts to; None where this host is ready."""
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.operations.check import selection

    if failed := selection.failures(findings, ignored):
        return selection.refusal(failed)
    if unseen := selection.unseen(findings, ignored):
        names = ", ".join(one.check for one in unseen)
        return RootlessError(
            f"could not look at {names}",
            hint="see the reasons above; what you know to be well, leave out with --ignore",
        )
    return None


def answered(
    findings: Sequence[Finding],
    ignored: Sequence[str],
    error: RootlessError | None,
    *,
    complete: bool = True,
) -> dict[str, Any]:
    """Return the answer as JSON has it; `complete` says that all checks were run."""
    errors = [error.document()] if error else []
    return {
        "ready": error is None,
        "complete": complete,
        "ignored": list(ignored),
        "checks": [finding.document() for finding in findings],
        "errors": errors,
    }
