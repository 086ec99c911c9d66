"""Select checks by their ids, and run them on the facts."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from k3s_rootless.errors import UsageError
from k3s_rootless.finding import Finding, matches
from k3s_rootless.operations.check import probes
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.preflight.checks.judgement import Check
from k3s_rootless.preflight.facts import Facts


def selected(ids: Sequence[str]) -> tuple[Check, ...]:
    """Return the checks that these ids or groups match; all checks if there are no ids."""
    if not ids:
        return checklist.CHECKS
    return tuple(check for check in checklist.CHECKS if any(matches(check.id, one) for one in ids))


def needs(ids: Sequence[str]) -> frozenset[str]:
    """Return the facts that the selected checks need, including the facts that these depend on."""
    facts = {name for check in selected(ids) for name in check.needs}
    return probes.with_dependencies(facts)


def judge(facts: Facts, ids: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Run the selected checks on the facts."""
    return checklist.judge(facts, selected(ids))


def require_known(ids: Sequence[str]) -> None:
    """Raise UsageError for an id that matches no check and no group of checks."""
    known = set()
    for check in checklist.CHECKS:
        parts = check.id.split(".")
        known |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    for one in ids:
        if one in known:
            continue
        hint = "list the ids with: k3s-rootless check --json"
        close = difflib.get_close_matches(one, sorted(known), n=1)
        if close:
            hint = f"did you mean `{close[0]}`?"
        raise UsageError(f"there is no check `{one}`", hint=hint)
