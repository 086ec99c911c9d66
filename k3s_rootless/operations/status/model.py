"""What `status` saw, and what that makes of K3s: ready, failed, not running, on its way, or not to
be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from k3s_rootless.journal import loops
from k3s_rootless.observation import Known, Observed, Unknown

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.cluster.facts import Kubeconfig, Node, Readiness
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.readiness.milestones import Milestone
    from k3s_rootless.rootlesskit.facts import Forward
    from k3s_rootless.service.facts import UnitState, Usage
    from k3s_rootless.service.unit.standing import Part

WORDS = {0: "ready", 1: "failed", 3: "not running", 4: "running, not ready"}
_CLOCK_GRAIN = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Kit:
    """rootlesskit as its API tells of it: its socket, the process that owns the child's namespaces,
    and the forwards.
    """

    socket: Path
    child_pid: int
    forwards: tuple[Forward, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """Restarts that came one after the other: how many, the seconds between two, and whether it
    goes on.
    """

    restarts: int
    period: float | None
    over: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was looked at; each part is known, or says why not.

    `state` is as the user manager has it, and `problem` why it could not be asked. `version` is the
    release that the unit was written for, `variables` name what K3s was started with otherwise than
    it would be now. `cause` and `loop` are None where there is no reason to ask. `as_started` is
    whether K3s is known to run with the files of its unit as they are.
    """

    time: datetime
    state: UnitState | None
    problem: RootlessError | None
    settings: Settings
    version: Version | None
    files: Observed[tuple[Part, ...]]
    installed: Observed[str]
    variables: Observed[tuple[str, ...]]
    kit: Observed[Kit]
    kubeconfig: Observed[Kubeconfig]
    ready: Observed[Readiness]
    nodes: Observed[tuple[Node, ...]]
    usage: Usage
    lingers: Observed[bool]
    period: Observed[float | None] | None
    cause: Observed[Cause | None] | None
    milestones: Sequence[Milestone]
    as_started: bool = False

    @property
    def code(self) -> int:
        """The exit code: what nobody could look at is not ready."""
        if self.state is None:
            return self.problem.exit_code if self.problem else 1
        return 1 if self.state.dead else 3 if not self.state.running else 4 if self.missing else 0

    @property
    def word(self) -> str:
        """How K3s is, in a word or two."""
        return WORDS[self.code] if self.state is not None else "unknown"

    @property
    def node(self) -> Node | None:
        """The node that is ready, or else the first (rootless K3s has one)."""
        nodes = self.nodes.value if isinstance(self.nodes, Known) else ()
        return next((node for node in nodes if node.ready), next(iter(nodes), None))

    @property
    def missing(self) -> tuple[str, str] | None:
        """The first thing that a ready K3s has and this one was not seen to have, by the name that
        `up` has for it, and why.
        """
        https = self.settings.https_port
        if isinstance(self.kit, Unknown):
            return "child namespace and API socket", self.kit.reason
        if not any(
            one.parent_port == https and one.proto.startswith("tcp")
            for one in self.kit.value.forwards
        ):
            return f"port {https} forwarded", f"rootlesskit does not forward port {https} yet"
        without = self._kubeconfig_missing()
        if without is not None and not self.ready_without_kubeconfig:
            return "kubeconfig of this start", without
        return self._cluster_missing()

    @property
    def ready_without_kubeconfig(self) -> bool:
        """Whether the API server is ready, and the kubeconfig of this start was moved or renamed.

        K3s writes the file before its API server is ready: if the file is not there after that,
        it was moved.
        """
        api_ready = isinstance(self.ready, Known) and self.ready.value.ready
        return api_ready and self._kubeconfig_missing() is not None

    def _kubeconfig_missing(self) -> str | None:
        if isinstance(self.kubeconfig, Unknown):
            return self.kubeconfig.reason
        if stale(self.kubeconfig.value, self.state):
            return f"{self.kubeconfig.value.path} is older than this start of K3s"
        return None

    def _cluster_missing(self) -> tuple[str, str] | None:
        if isinstance(self.ready, Unknown):
            return "API server ready", self.ready.reason
        if not self.ready.value.ready:
            return (
                "API server ready",
                f"the API server is not ready: {', '.join(self.ready.value.failing)}",
            )
        if isinstance(self.nodes, Unknown):
            return "node ready", self.nodes.reason
        if not any(node.ready for node in self.nodes.value):
            reasons = [f"node {node.name}: {node.reason}" for node in self.nodes.value]
            return "node ready", "; ".join(reasons) or "no node has registered yet"
        return None

    @property
    def loop(self) -> Loop | None:
        """The restarts of a K3s that dies again and again, also after it has come to rest."""
        state = self.state
        if state is None or state.restarts < 2:
            return None
        period = self.period.value if isinstance(self.period, Known) else None
        rest = (self.time - state.started).total_seconds() if state.started else 0.0
        over = state.active_state == "failed" or (state.running and loops.is_past(rest, period))
        return Loop(state.restarts, period, over)

    @property
    def died_of(self) -> Cause | None:
        """The cause of a death that K3s has not recovered from."""
        return self.cause.value if isinstance(self.cause, Known) and self.code in {1, 4} else None

    @property
    def running_release(self) -> str | None:
        """The release that runs, by its kubelet's own word."""
        return self.node.version or None if self.node else None


def stale(kubeconfig: Kubeconfig, state: UnitState | None) -> bool:
    """Tell whether a kubeconfig was left by an earlier start: K3s writes it at each."""
    return bool(state and state.started and kubeconfig.modified + _CLOCK_GRAIN < state.started)
