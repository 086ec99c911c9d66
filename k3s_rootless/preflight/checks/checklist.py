"""The list of all checks of what rootless K3s needs from a host.

Each check is a pure function of Facts. To add a check: write its function under `@check(…)` in the
module of its subject, its rows in tests/preflight/, and its paragraph in docs/reference/checks.md
(a test compares the three).
"""

from __future__ import annotations

from collections.abc import Sequence

from k3s_rootless.finding import Finding
from k3s_rootless.preflight.checks import (
    agentless,
    cluster,
    configuration,
    gpu,
    host,
    identity,
    kernel,
    namespaces,
    network,
    programs,
    session,
    storage,
    sysctls,
    unit_limits,
)
from k3s_rootless.preflight.checks.judgement import Check
from k3s_rootless.preflight.facts import Facts

CHECKS: tuple[Check, ...] = (
    *session.check,
    *sysctls.check,
    *namespaces.check,
    *identity.check,
    *programs.check,
    *kernel.check,
    *network.check,
    *storage.check,
    *host.check,
    *unit_limits.check,
    *configuration.check,
    *cluster.check,
    *gpu.check,
)
"""All checks, in the order of display."""


def judge(facts: Facts, requested: Sequence[Check] = CHECKS) -> tuple[Finding, ...]:
    """Return the findings of the requested checks; by default, of all checks."""
    found = (check.of(facts) for check in requested)
    if facts.server.agentless:
        return tuple(map(agentless.relaxed, found))
    return tuple(found)
