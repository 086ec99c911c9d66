"""Select checks by their ids, and judge the facts with them."""

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
    """Return the checks that these ids or groups name; all checks if there are no ids."""
    if not ids:
        return checklist.CHECKS
    return tuple(check for check in checklist.CHECKS if any(matches(check.id, one) for one in ids))


def needs(ids: Sequence[str]) -> frozenset[str]:
    """Return the facts that the selected checks need, with the facts that are read before those."""
    facts = {name for check in selected(ids) for name in check.needs}
    return probes.with_those_before(facts)


def judge(facts: Facts, ids: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Judge the facts with the selected checks."""
    return checklist.judge(facts, selected(ids))


def require_known(ids: Sequence[str]) -> None:
    """Refuse an id that names no check and no group of checks. Raises UsageError."""
    known = set()
    for check in checklist.CHECKS:
        parts = check.id.split(".")
        known |= {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    for one in ids:
        if one in known:
            continue
        hint = "see the ids with: k3s-rootless check --json"
        close = difflib.get_close_matches(one, sorted(known), n=1)
        if close:
            hint = f"did you mean `{close[0]}`?"
        raise UsageError(f"there is no check `{one}`", hint=hint)
