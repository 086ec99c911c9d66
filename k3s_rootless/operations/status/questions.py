"""The concurrent queries of `status`: the target of each, its function, and when it applies."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from k3s_rootless.cluster import api
from k3s_rootless.cluster import kubeconfig as kubeconfigs
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown, value_or
from k3s_rootless.operations import unit_changes
from k3s_rootless.operations.readiness import traces
from k3s_rootless.operations.status import parts
from k3s_rootless.operations.status.asking import Asking, within
from k3s_rootless.operations.status.model import Kit
from k3s_rootless.operations.status.parts import UnitFiles
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import files as unit_files
from k3s_rootless.service.systemd import logind

if TYPE_CHECKING:
    from k3s_rootless.background import BackgroundQuery
    from k3s_rootless.cluster.facts import Credentials, Kubeconfig, Node, Readiness
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.rest import Peer
    from k3s_rootless.service.facts import UnitState

T = TypeVar("T")
_NOT_RUNNING = Unknown("K3s is not running")
_FILES, _API = "the file system", "the API server"


@dataclass(frozen=True, slots=True)
class Question(Generic[T]):
    """One query of a check.

    `who` is the name to report if there is no answer in time. If `of_running` is set, the query is
    skipped if K3s is known not to run. If `of_start` is set, an answer applies to the current start
    of K3s only, so that a query pending since an earlier start is not used.
    """

    name: str
    who: str
    ask: Callable[[Round], Observed[T]]
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
class Round:
    """One check: the inputs of its queries, and their answers.

    The time limit of a query is `seconds`; all of them together end at `deadline` (time.monotonic).
    """

    context: Context
    state: UnitState | None
    settings: Settings
    seconds: float
    deadline: float
    asking: Asking
    memory: Memory
    _asked: dict[str, BackgroundQuery[Observed[Any]]] = field(default_factory=dict)

    def begin(self) -> None:
        """Start all queries."""
        may_run = self.state is None or self.state.running
        for question in QUESTIONS:
            if may_run or not question.of_running:
                self._asked[question.name] = self._begin(question)

    def _begin(self, question: Question[T]) -> BackgroundQuery[Observed[T]]:
        name = question.name
        if question.of_start and self.state is not None:
            name = f"{name} of {self.state.invocation}"
        return self.asking.begin(name, lambda: question.ask(self))

    def answer(self, question: Question[T]) -> Observed[T]:
        """Return the answer; Unknown if there is none by the deadline."""
        asked = self._asked.get(question.name)
        if asked is None:
            return _NOT_RUNNING
        return within(asked, self.deadline, question.who)

    def value(self, question: Question[T]) -> T:
        """Return the value of another query of this check, for a query that depends on it.

        Raises TimeoutError, and RootlessError if there is no value.
        """
        found = self._asked[question.name].result(self.seconds)
        if isinstance(found, Unknown):
            raise RootlessError(found.reason)
        value: T = found.value
        return value

    def files(self) -> Observed[UnitFiles]:
        """Return the files of the unit, for a query that can continue without them."""
        return within(self._asked[FILES.name], time.monotonic() + self.seconds, FILES.who)


def _files(look: Round) -> Observed[UnitFiles]:
    return Known(parts.files(look.context, look.state), "the files of the unit")


def _kubeconfig(look: Round) -> Observed[Kubeconfig]:
    path = look.settings.kubeconfig
    return Known(kubeconfigs.load(path, uid=look.context.uid), str(path))


def _connection(look: Round) -> Observed[Peer]:
    found = parts.credentials(
        lambda: look.value(KUBECONFIG), look.state, look.settings, look.context.uid
    )
    memory = look.memory
    if memory.peer is None or memory.credentials != found:
        memory.peer = kubeconfigs.peer(found)
        memory.credentials = found
    return Known(memory.peer, str(found.path))


def _ready(look: Round) -> Observed[Readiness]:
    return api.readyz(look.value(CONNECTION), look.seconds)


def _nodes(look: Round) -> Observed[tuple[Node, ...]]:
    found = api.node_ready(look.value(CONNECTION), look.seconds)
    if isinstance(found, Unknown):
        return found
    return Known(traces.of_this_start(found.value, look.state), found.source)


def _variables(look: Round) -> Observed[tuple[str, ...]]:
    if look.state is None:
        return Unknown("the unit is not known")
    return parts.variables(look.context, look.state)


def _kit(look: Round) -> Observed[Kit]:
    files = value_or(look.files(), None)
    release = None if files is None else files.version
    found = parts.kit(look.state, look.settings, release, look.context.uid, look.seconds)
    return Known(found, str(found.socket))


def _as_started(look: Round) -> Observed[bool]:
    return Known(unit_changes.are_none(look.context, look.state), "the record of the start")


def _changed(look: Round) -> Observed[datetime | None]:
    state = look.state
    if state is None or state.fragment is None:
        return Known(None)
    directory = state.fragment.with_name(f"{state.name}{drop_in.DIRECTORY_SUFFIX}")
    return Known(unit_files.last_changed(directory, state), str(directory))


def _installed(look: Round) -> Observed[str]:
    # The release is known only after k3s was run, so the answer is kept until the file changes.
    files = look.files()
    key = (parts.binary_changed(look.state), files)
    memory = look.memory
    if memory.release_of != key or isinstance(memory.release, Unknown):
        memory.release = parts.installed(look.context, look.state, files, look.seconds)
        memory.release_of = key
    return memory.release


def _lingers(look: Round) -> Observed[bool]:
    return logind.lingers(look.context.user, look.context.paths.root)


FILES = Question("files", _FILES, _files)
KUBECONFIG = Question("kubeconfig", _FILES, _kubeconfig)
CONNECTION = Question("connection", _API, _connection, of_running=True, of_start=True)
READY = Question("API server", _API, _ready, of_running=True, of_start=True)
NODES = Question("nodes", _API, _nodes, of_running=True, of_start=True)
VARIABLES = Question("environment", "the user manager", _variables, of_running=True)
KIT = Question("rootlesskit", "rootlesskit", _kit, of_running=True, of_start=True)
AS_STARTED = Question("record", _FILES, _as_started, of_start=True)
CHANGED = Question("changes", _FILES, _changed, of_running=True)
INSTALLED = Question("k3s", "k3s", _installed)
LINGERS = Question("lingering", _FILES, _lingers)
QUESTIONS: tuple[Question[Any], ...] = (
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
    LINGERS,
)
"""Ordered so that each query comes after the queries that it depends on."""
