"""Whether NetworkPolicies are enforced, and which packets K3s logs for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster.policies import log_rules, read, selection
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations.node import surroundings
from k3s_rootless.operations.policies import enforcement
from k3s_rootless.operations.policies.judgement import Judgement, State, judge
from k3s_rootless.operations.readiness.start import Start

if TYPE_CHECKING:
    from k3s_rootless.cluster.policies.facts import Policy
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_HINT = {
    State.DISABLED: "remove the setting, then run: k3s-rootless restart",
    State.NOT_RUNNING: "check the kernel with: k3s-rootless check kernel.ip_set",
    State.UNKNOWN: "read the log of K3s: k3s-rootless logs --grep 'network policy'",
}

_WITHOUT_IPSET = "ipset utility not found"
"""K3s's releases contain ipset; a K3s that you build from source may not."""


@dataclass(frozen=True, slots=True)
class Row:
    """One policy, and the number of Pods that it selects now."""

    policy: Policy
    pods: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was observed.

    `sets` is the number of K3s's own ipsets.
    """

    controller: Judgement
    sets: Observed[int]
    policies: Observed[tuple[Row, ...]]
    release: Version | None = None

    @property
    def enforced(self) -> bool | None:
        """Whether K3s enforces policies; None if it is not known."""
        return {State.RUNNING: True, State.UNKNOWN: None}.get(self.controller.state, False)

    @property
    def named(self) -> bool | None:
        """Whether this release logs the names of policies; None if the release is not known."""
        return None if self.release is None else log_rules.names_policies(self.release)

    @property
    def problems(self) -> tuple[RootlessError, ...]:
        """The errors: a source that could not be read, and policies without effect."""
        if isinstance(self.policies, Unknown):
            return (RootlessError(f"cannot list the NetworkPolicies: {self.policies.reason}"),)
        count = len(self.policies.value)
        if not count or self.enforced:
            return ()
        return (self._without_effect(count),)

    def _without_effect(self, count: int) -> RootlessError:
        subject = "1 NetworkPolicy is" if count == 1 else f"{count} NetworkPolicies are"
        found = self.controller
        text = f"{subject} not enforced: {found.reason}"
        if found.state is State.UNKNOWN:
            text = f"it is unknown whether {subject} enforced: {found.reason}"
        hint = _HINT[found.state]
        if _WITHOUT_IPSET in found.reason:
            hint = "install ipset in the PATH of the unit, then run: k3s-rootless restart"
        return RootlessError(text, hint=hint)


def read_status(context: Context) -> Answer:
    """Observe the controller, and list the policies.

    Raises NotRunning, NotReady, RootlessError.
    """
    state, found = surroundings.read(context)
    child = surroundings.child(context, state, "policies status")
    seen = enforcement.observe(context, state, found, child)
    return Answer(
        judge(seen),
        seen.sets,
        _rows(context, state, found.release),
        found.release,
    )


def document(answer: Answer) -> dict[str, Any]:
    """Return the JSON document of `policies status`."""
    sets = answer.sets
    rows = None if isinstance(answer.policies, Unknown) else answer.policies.value
    return {
        "enforced": answer.enforced,
        "controller": {
            "state": answer.controller.state.value,
            "reason": answer.controller.reason,
        },
        "ipset": {
            "usable": isinstance(sets, Known),
            "sets": None if isinstance(sets, Unknown) else sets.value,
            "reason": sets.reason if isinstance(sets, Unknown) else "",
        },
        "log": {
            "group": log_rules.GROUP,
            "names_policies": answer.named,
        },
        "policies": None if rows is None else [_row(one) for one in rows],
        "errors": [one.document() for one in answer.problems],
    }


def _row(row: Row) -> dict[str, Any]:
    limit, burst = log_rules.limit(row.policy)
    return {
        "namespace": row.policy.namespace,
        "name": row.policy.name,
        "directions": sorted(one.value for one in row.policy.directions),
        "pods": row.pods,
        "limit": limit,
        "burst": burst,
        "warning": log_rules.problem(row.policy),
    }


def _rows(context: Context, state: UnitState, release: Version | None) -> Observed[tuple[Row, ...]]:
    try:
        api = Start.of(context, state, release).find_api()
        policies, pods = read.policies(api), read.pods(api)
    except RootlessError as error:
        return Unknown(error.message)
    counted = (sum(selection.selects(policy, pod) for pod in pods) for policy in policies)
    return Known(tuple(map(Row, policies, counted)), "the API server")
