"""The concurrent queries of `status`: the target of each, its function, and when it applies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from k3s_rootless.cluster import api
from k3s_rootless.cluster.certificates import files as certificates
from k3s_rootless.cluster.kubeconfig import connection, copies
from k3s_rootless.cluster.kubeconfig import read as kubeconfigs
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown, value_or
from k3s_rootless.operations import node_files, unit_changes
from k3s_rootless.operations.backup import age, unfinished
from k3s_rootless.operations.kubeconfig import stale
from k3s_rootless.operations.readiness import traces
from k3s_rootless.operations.status import parts
from k3s_rootless.operations.status.model import Kit
from k3s_rootless.operations.status.open_queries import OpenQueries, within
from k3s_rootless.operations.status.parts import UnitFiles
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import files as unit_files
from k3s_rootless.service.systemd import logind

if TYPE_CHECKING:
    from k3s_rootless.background import BackgroundQuery
    from k3s_rootless.backup.records import Age
    from k3s_rootless.cluster.certificates.facts import Ends
    from k3s_rootless.cluster.facts import Credentials, Kubeconfig, Node, Readiness
    from k3s_rootless.cluster.kubeconfig.facts import Copy
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.backup.unfinished import Unfinished
    from k3s_rootless.operations.context import Context
    from k3s_rootless.rest import Peer
    from k3s_rootless.service.facts import UnitState

T = TypeVar("T")
_NOT_RUNNING = Unknown("K3s is not running")
_FILES, _API = "the file system", "the API server"


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """One query of a check.

    `target` is the name to report if there is no answer in time. If `of_running` is set, the query
    is skipped if K3s is known not to run. If `of_start` is set, an answer applies to the current
    start of K3s only, so that a query pending since an earlier start is not used.
    """

    name: str
    target: str
    run: Callable[[Check], Observed[T]]
    of_running: bool = False
    of_start: bool = False


@dataclass(slots=True)
class Memory:
    """The state kept between checks: the connection to the API server, and the release of k3s."""

    credentials: Credentials | None = None
    peer: Peer | None = None
    release_of: object = None
    release: Observed[str] = field(default_factory=lambda: Unknown("k3s was not run"))


@dataclass(frozen=True, slots=True)
class Check:
    """One check: the inputs of its queries, and their answers.

    The time limit of a query is `seconds`; all of them together end at `deadline` (time.monotonic).
    """

    context: Context
    state: UnitState | None
    settings: Settings
    seconds: float
    deadline: float
    open_queries: OpenQueries
    memory: Memory
    _tasks: dict[str, BackgroundQuery[Observed[Any]]] = field(default_factory=dict)

    def begin(self) -> None:
        """Start all queries."""
        may_run = self.state is None or self.state.running
        for query in QUERIES:
            if may_run or not query.of_running:
                self._tasks[query.name] = self._begin(query)

    def _begin(self, query: Query[T]) -> BackgroundQuery[Observed[T]]:
        name = query.name
        if query.of_start and self.state is not None:
            name = f"{name} of {self.state.invocation}"
        return self.open_queries.begin(name, lambda: query.run(self))

    def answer(self, query: Query[T]) -> Observed[T]:
        """Return the answer; Unknown if there is none by the deadline."""
        task = self._tasks.get(query.name)
        if task is None:
            return _NOT_RUNNING
        return within(task, self.deadline, query.target)

    def value(self, query: Query[T]) -> T:
        """Return the value of another query of this check, for a query that depends on it.

        Raises TimeoutError, and RootlessError if there is no value.
        """
        found = self._tasks[query.name].result(self.seconds)
        if isinstance(found, Unknown):
            raise RootlessError(found.reason)
        value: T = found.value
        return value

    def files(self) -> Observed[UnitFiles]:
        """Return the files of the unit, for a query that can continue without them."""
        return within(self._tasks[FILES.name], time.monotonic() + self.seconds, FILES.target)


def _files(check: Check) -> Observed[UnitFiles]:
    return Known(parts.files(check.context, check.state), "the files of the unit")


def _kubeconfig(check: Check) -> Observed[Kubeconfig]:
    path = check.settings.kubeconfig
    return Known(kubeconfigs.load(path, uid=check.context.uid), str(path))


def _connection(check: Check) -> Observed[Peer]:
    found = parts.credentials(
        lambda: check.value(KUBECONFIG), check.state, check.settings, check.context.uid
    )
    memory = check.memory
    if memory.peer is None or memory.credentials != found:
        memory.peer = connection.peer(found)
        memory.credentials = found
    return Known(memory.peer, str(found.path))


def _ready(check: Check) -> Observed[Readiness]:
    return api.readyz(check.value(CONNECTION), check.seconds)


def _nodes(check: Check) -> Observed[tuple[Node, ...]]:
    found = api.node_ready(check.value(CONNECTION), check.seconds)
    if isinstance(found, Unknown):
        return found
    return Known(traces.of_this_start(found.value, check.state), found.source)


def _variables(check: Check) -> Observed[tuple[str, ...]]:
    if check.state is None:
        return Unknown("the unit is not known")
    return parts.variables(check.context, check.state)


def _kit(check: Check) -> Observed[Kit]:
    files = value_or(check.files(), None)
    release = None if files is None else files.version
    found = parts.kit(check.state, check.settings, release, check.context.uid, check.seconds)
    return Known(found, str(found.socket))


def _as_started(check: Check) -> Observed[bool]:
    return Known(unit_changes.are_none(check.context, check.state), "the record of the start")


def _changed(check: Check) -> Observed[datetime | None]:
    state = check.state
    if state is None or state.fragment is None:
        return Known(None)
    directory = state.fragment.with_name(f"{state.name}{drop_in.DIRECTORY_SUFFIX}")
    return Known(unit_files.last_changed(directory, state), str(directory))


def _installed(check: Check) -> Observed[str]:
    # The release is known only after k3s was run, so the answer is kept until the file changes.
    files = check.files()
    key = (parts.binary_changed(check.state), files)
    memory = check.memory
    if memory.release_of != key or isinstance(memory.release, Unknown):
        memory.release = parts.installed(check.context, check.state, files, check.seconds)
        memory.release_of = key
    return memory.release


def _stale_copies(check: Check) -> Observed[tuple[Copy, ...]]:
    return Known(stale.stale(check.context, lambda: check.value(KUBECONFIG)), copies.RECORD)


def _node_files(check: Check) -> Observed[str]:
    if check.state is None:
        return Known("")
    return Known(node_files.outdated(check.state, check.settings))


def _certificate_ends(check: Check) -> Observed[Ends]:
    return certificates.ends(check.settings.data, check.context.uid)


def _lingers(check: Check) -> Observed[bool]:
    return logind.lingers(check.context.user, check.context.paths.root)


def _unfinished(check: Check) -> Observed[Unfinished | None]:
    return Known(unfinished.find(check.context, check.state))


def _backups(check: Check) -> Observed[Age]:
    paths = check.context.paths
    directory = paths.user_units
    found = check.state
    if found is not None and found.fragment is not None and not found.in_foreground:
        # The directory of the user's own units, which XDG_CONFIG_HOME can move.
        directory = found.fragment.parent
    return Known(age.read(check.context, directory), str(paths.backups))


FILES = Query("files", _FILES, _files)
KUBECONFIG = Query("kubeconfig", _FILES, _kubeconfig)
CONNECTION = Query("connection", _API, _connection, of_running=True, of_start=True)
READY = Query("API server", _API, _ready, of_running=True, of_start=True)
NODES = Query("nodes", _API, _nodes, of_running=True, of_start=True)
VARIABLES = Query("environment", "the user manager", _variables, of_running=True)
KIT = Query("rootlesskit", "rootlesskit", _kit, of_running=True, of_start=True)
AS_STARTED = Query("record", _FILES, _as_started, of_start=True)
CHANGED = Query("changes", _FILES, _changed, of_running=True)
INSTALLED = Query("k3s", "k3s", _installed)
STALE_COPIES = Query("copies of the kubeconfig", _FILES, _stale_copies)
NODE_FILES = Query("registries and containerd", _FILES, _node_files, of_running=True)
CERTIFICATE_ENDS = Query("certificates", _FILES, _certificate_ends)
LINGERS = Query("lingering", _FILES, _lingers)
UNFINISHED = Query("unfinished work", _FILES, _unfinished)
BACKUPS = Query("backups", _FILES, _backups)
QUERIES: tuple[Query[Any], ...] = (
    FILES,
    KUBECONFIG,
    CONNECTION,
    READY,
    NODES,
    VARIABLES,
    KIT,
    AS_STARTED,
    CHANGED,
    INSTALLED,
    STALE_COPIES,
    NODE_FILES,
    CERTIFICATE_ENDS,
    LINGERS,
    UNFINISHED,
    BACKUPS,
)
"""Ordered so that each query comes after the queries that it depends on."""
