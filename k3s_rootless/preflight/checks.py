"""What rootless K3s needs of a host, as a list of questions: each a pure judgement over Facts.

To add a check: write its function under `@check(id, title)` in `system` or `programs`, its rows in
tests/preflight/test_checks.py, and its paragraph in docs/reference/checks.md (a test holds the three together).
"""

from __future__ import annotations

from k3s_rootless.finding import Finding
from k3s_rootless.preflight import programs, system
from k3s_rootless.preflight.facts import Facts

CHECKS = (*system.check, *programs.check)
"""In the order of display."""


def judge(facts: Facts) -> tuple[Finding, ...]:
    """Answer every question."""
    return tuple(check.of(facts) for check in CHECKS)
