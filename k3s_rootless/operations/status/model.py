"""The record of one check of K3s, and the resulting state.

The states are ready, failed, not running, not ready and unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from k3s_rootless.cluster.certificates.facts import Ends
from k3s_rootless.journal import loops
from k3s_rootless.observation import Known, Observed, Unknown, value_or
from k3s_rootless.operations.readiness import missing, phases
from k3s_rootless.service.unit import pending_changes

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.backup.records import Age
    from k3s_rootless.cluster.facts import Kubeconfig, Node, Readiness
    from k3s_rootless.cluster.kubeconfig.facts import Copy
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.backup.unfinished import Unfinished
    from k3s_rootless.operations.readiness.milestones import Milestone
    from k3s_rootless.rootlesskit.facts import Forward
    from k3s_rootless.service.facts import UnitState, Usage
    from k3s_rootless.service.unit.pending_changes import Part, Pending

READY, FAILED, NOT_RUNNING, NOT_READY = 0, 1, 3, 4
"""Exit codes of `status`."""
STATES = {
    READY: "ready",
    FAILED: "failed",
    NOT_RUNNING: "not running",
    NOT_READY: "running, not ready",
}

_NO_ENDS = Known(Ends())


@dataclass(frozen=True, slots=True)
class Kit:
    """The state that rootlesskit reports.

    Its API socket, the process that owns the child's namespaces, and the forwards.
    """

    socket: Path
    child_pid: int
    forwards: tuple[Forward, ...]


@dataclass(frozen=True, slots=True)
class Certificate:
    """The end of validity (UTC) of a certificate; `owner` is `client` or `server`."""

    owner: str
    until: Observed[datetime]


@dataclass(frozen=True, slots=True)
class Loop:
    """Consecutive restarts: the count, the seconds between two of them, and whether they ended."""

    restarts: int
    period: float | None
    over: bool


@dataclass(frozen=True, slots=True)
class Missing:
    """A phase that K3s needs to be ready and has not reached, and the reason."""

    phase: str
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All parts of one check; each part is known, or has the reason why it is not.

    `state` is the unit as the user manager reports it; `problem` is the error if there is no
    report. `version` is the release that the unit was written for. `variables` are the names of
    variables that have changed since K3s was started. `period` and `cause` are None if there was no
    reason to read the journal. `stale_copies` are the copies of the kubeconfig that differ from it;
    those that cannot be read are left out. `certificate_ends` are those of all certificates in the
    data directory. `node_files` is why K3s must restart to read files of the registries or of
    containerd, or empty. `pending` are changes that are not in effect yet, and
    `unfinished` is the work of an interrupted command.
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
    unfinished: Observed[Unfinished | None]
    backups: Observed[Age]
    period: Observed[float | None] | None
    cause: Observed[Cause | None] | None
    milestones: Sequence[Milestone]
    certificates: tuple[Certificate, ...] = ()
    certificate_ends: Observed[Ends] = _NO_ENDS
    stale_copies: tuple[Copy, ...] = ()
    node_files: str = ""
    pending: tuple[Pending, ...] = ()

    @property
    def code(self) -> int:
        """The exit code; a part that could not be read does not count as ready."""
        if self.state is None:
            return FAILED if self.problem is None else self.problem.exit_code
        if self.state.failed:
            return FAILED
        if not self.state.running:
            return NOT_RUNNING
        return READY if self.missing is None else NOT_READY

    @property
    def overall_state(self) -> str:
        """The state of K3s in one or two words."""
        return "unknown" if self.state is None else STATES[self.code]

    @property
    def may_run(self) -> bool:
        """Whether K3s runs, or may run because the user manager gave no answer."""
        return self.state is None or self.state.running

    @property
    def node(self) -> Node | None:
        """The ready node, or else the first node (rootless K3s has one node)."""
        nodes = value_or(self.nodes, ())
        for node in nodes:
            if node.ready:
                return node
        return next(iter(nodes), None)

    @property
    def ready_node(self) -> Node | None:
        """The ready node, or None."""
        node = self.node
        return node if node is not None and node.ready else None

    @property
    def missing(self) -> Missing | None:
        """The first phase that K3s has not reached, with the phase names of `up`.

        None if K3s is ready or does not run.
        """
        if not self.may_run:
            return None
        if self.settings.agentless:
            return self._agentless_missing()
        if isinstance(self.kit, Unknown):
            return Missing(f"{phases.NAMESPACE.name} and {phases.SOCKET.name}", self.kit.reason)
        port = self.settings.https_port
        reason = missing.port(self.kit.value.forwards, port)
        if reason is not None:
            return Missing(phases.port(port).name, reason)
        without = self._kubeconfig_missing()
        if without is not None and not self.ready_without_kubeconfig:
            return Missing(phases.KUBECONFIG.name, without)
        return self._cluster_missing()

    @property
    def ready_without_kubeconfig(self) -> bool:
        """Whether the API server is ready, and the kubeconfig of this start was moved or renamed.

        K3s writes the file before its API server is ready: if the file is missing after that, it
        was moved.
        """
        api_ready = isinstance(self.ready, Known) and self.ready.value.ready
        return api_ready and self._kubeconfig_missing() is not None

    @property
    def stale_kubeconfig(self) -> bool:
        """Whether the kubeconfig was read, and was written by an earlier start."""
        if isinstance(self.kubeconfig, Unknown) or self.state is None:
            return False
        return self.kubeconfig.value.is_older_than(self.state.started)

    def _kubeconfig_missing(self) -> str | None:
        if isinstance(self.kubeconfig, Unknown):
            return self.kubeconfig.reason
        if self.stale_kubeconfig:
            return f"{self.kubeconfig.value.path} is older than this start of K3s"
        return None

    def _agentless_missing(self) -> Missing | None:
        without = self._kubeconfig_missing()
        if without is not None and not self.ready_without_kubeconfig:
            return Missing(phases.KUBECONFIG.name, without)
        return self._api_missing()

    def _api_missing(self) -> Missing | None:
        if isinstance(self.ready, Unknown):
            return Missing(phases.API.name, self.ready.reason)
        reason = missing.api(self.ready.value)
        if reason is not None:
            return Missing(phases.API.name, reason)
        return None

    def _cluster_missing(self) -> Missing | None:
        without = self._api_missing()
        if without is not None:
            return without
        if isinstance(self.nodes, Unknown):
            return Missing(phases.NODE.name, self.nodes.reason)
        reason = missing.node(self.nodes.value)
        if reason is not None:
            return Missing(phases.NODE.name, reason)
        return None

    @property
    def loop(self) -> Loop | None:
        """The restarts of a K3s that failed more than once, even if they have ended."""
        state = self.state
        if state is None or state.restarts < loops.FEWEST:
            return None
        period = None if self.period is None else value_or(self.period, None)
        return Loop(state.restarts, period, self._is_loop_over(state, period))

    def _is_loop_over(self, state: UnitState, period: float | None) -> bool:
        if state.active_state == "failed":
            return True
        lived = 0.0
        if state.started is not None:
            lived = (self.time - state.started).total_seconds()
        return state.running and loops.is_past(lived, period)

    @property
    def failure_cause(self) -> Cause | None:
        """The cause of a failure that K3s has not recovered from."""
        if self.code not in {FAILED, NOT_READY} or self.cause is None:
            return None
        return value_or(self.cause, None)

    @property
    def running_release(self) -> str | None:
        """The running release, as its kubelet reports it."""
        if self.node is None:
            return None
        return self.node.version or None

    @property
    def drift(self) -> tuple[str, ...]:
        """The files of the unit that differ from what k3s-rootless wrote, one sentence each."""
        return pending_changes.drift(value_or(self.files, ()))

    @property
    def unknown(self) -> tuple[tuple[str, str], ...]:
        """The parts that could not be read, with the reasons.

        Parts that a stopped K3s does not have are left out.
        """
        found = [] if self.problem is None else [("unit", self.problem.message)]
        found += [
            (part, observed.reason)
            for part, observed in self._parts()
            if isinstance(observed, Unknown)
        ]
        files = value_or(self.files, ())
        found += [("unit files", file.problem) for file in files if file.problem]
        if self.state is not None:
            found += [("settings", problem) for problem in self.settings.problems]
        for certificate in self.certificates:
            if isinstance(certificate.until, Unknown):
                part = f"certificate of the {certificate.owner}"
                found.append((part, certificate.until.reason))
        return tuple(found)

    def _parts(self) -> Iterator[tuple[str, object]]:
        """Yield the name and the observation of each part that this K3s should have."""
        yield "unit files", self.files
        yield "installed release", self.installed
        yield "lingering", self.lingers
        yield "unfinished work", self.unfinished
        yield "backups", self.backups
        yield "certificates", self.certificate_ends
        yield "restarts", self.period
        yield "cause", self.cause
        if self.state is not None and self.state.running:
            yield "environment", self.variables
        if self.may_run and not self.settings.agentless:
            yield "forwards", self.kit
        if self.may_run:
            yield "kubeconfig", self.kubeconfig
            yield "API server", self.ready
            yield "node", self.nodes
