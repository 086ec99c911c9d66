"""Observe whether K3s enforces NetworkPolicies, in its namespaces and in its log.

K3s starts kube-router's controller for NetworkPolicies in its network namespace. If ipset does not
work, K3s skips the controller with one warning; the API server accepts policies all the same
(K3s pkg/agent/netpol/netpol.go, v1.21 to v1.36).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.journal.facts import Query
from k3s_rootless.journal.sources import journald
from k3s_rootless.k3s.features import UNIT_PATH
from k3s_rootless.node import inside, invocation
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.policies.judgement import CHAIN, Observations
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3s_rootless.node.facts import Surroundings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_DISABLE = "disable-network-policy"
_OWN_SET = re.compile(r"^create (?:inet6:)?KUBE-", re.MULTILINE)
_SECONDS = 20.0


def observe(context: Context, state: UnitState, found: Surroundings, child: int) -> Observations:
    """Observe the controller of the running K3s; `child` owns its namespaces."""
    tools = Tools(found, inside.Node(child, state.control_group), _environ(context, state, found))
    return Observations(
        _disabled(context, state), tools.leads(), tools.sets(), _logged(context, state)
    )


class Tools:
    """The programs that K3s itself uses, run where and how K3s runs them."""

    def __init__(self, found: Surroundings, node: inside.Node, environ: Mapping[str, str]) -> None:
        self._found = found
        self._node = node
        self._environ = environ

    def sets(self) -> Observed[int]:
        """Count the sets of K3s, with the command that K3s's controller begins with."""
        try:
            return Known(len(_OWN_SET.findall(self._run("ipset", "save"))), "ipset save")
        except RootlessError as error:
            return Unknown(error.message)

    def leads(self) -> Observed[bool]:
        """Return whether packets between Pods pass the rules of the controller."""
        try:
            printed = self._run("iptables", "-S", "FORWARD")
        except RootlessError as error:
            return Unknown(error.message)
        return Known(f"-j {CHAIN}" in printed, "iptables -S FORWARD")

    def _run(self, *words: str) -> str:
        program = invocation.of_shell(words, self._found, self._environ)
        return inside.run(self._node, program, timeout=_SECONDS)


def _environ(context: Context, state: UnitState, found: Surroundings) -> Mapping[str, str]:
    search = (state.environment or {}).get("PATH") or UNIT_PATH
    if found.unpacked is not None:
        # K3s's own iptables comes last (K3s cmd/k3s/main.go).
        search = f"{search}:{found.unpacked}/aux"
    return {**context.environ, "PATH": search}


def _disabled(context: Context, state: UnitState) -> str:
    settings = server_settings.of(context, state)
    if not settings.switch(_DISABLE):
        return ""
    return f"{_DISABLE} ({settings.value(_DISABLE).origin})"


def _logged(context: Context, state: UnitState) -> Observed[str]:
    query = Query(context.uid, state.invocation, grep="network policy controller")
    try:
        entries = journald.collect(query)
    except RootlessError as error:
        return Unknown(error.message)
    return Known("".join(printable(one.message) for one in entries[-1:]))
