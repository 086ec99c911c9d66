"""What rootless K3s needs of a host, as a list of questions: each a pure judgement over Facts.

To add a check: write its function under `@check(…)` in the module of its subject, its rows in
tests/preflight/, and its paragraph in docs/reference/checks.md (a test holds the three together).
"""

from __future__ import annotations

from collections.abc import Sequence

from k3s_rootless.finding import Finding
from k3s_rootless.preflight import (
    cluster,
    configuration,
    identity,
    kernel,
    namespaces,
    network,
    programs,
    storage,
    surroundings,
    sysctls,
    system,
    unit_limits,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.judgement import Check

CHECKS: tuple[Check, ...] = (
    *system.check,
    *sysctls.check,
    *namespaces.check,
    *identity.check,
    *programs.check,
    *kernel.check,
    *network.check,
    *storage.check,
    *surroundings.check,
    *unit_limits.check,
    *configuration.check,
    *cluster.check,
)
"""In the order of display."""


def judge(facts: Facts, asked: Sequence[Check] = CHECKS) -> tuple[Finding, ...]:
    """Answer every question, or those that are asked."""
    return tuple(check.of(facts) for check in asked)
