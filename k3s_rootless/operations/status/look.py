"""Looks at all that `status` tells, side by side, each part within its own time."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from k3s_rootless import background
from k3s_rootless.errors import BusError, RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations import server_settings, unit_changes
from k3s_rootless.operations.status import cause as status_cause
from k3s_rootless.operations.status import parts
from k3s_rootless.operations.status.model import Kit, Seen
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from k3s_rootless.background import Asked
    from k3s_rootless.cluster.facts import Credentials, Kubeconfig, Node, Readiness
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.rest import Peer
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.unit.standing import Part

T = TypeVar("T")
SECONDS = 0.7
"""What a part may take: the user manager first and then all others, that is twice this, and a start
of Python, in 2 s.
"""
MOST_SECONDS = 5.0
_SLOWNESS = 3.0
NOT_RUNNING = "K3s is not running"


def patience() -> float:
    """Give what a part may take here: where we took long to start (an emulated or busy machine),
    others answer slowly, too.
    """
    from k3s_rootless.service.observe import process

    taken = process.elapsed(os.getpid())
    return min(MOST_SECONDS, max(SECONDS, _SLOWNESS * (taken.total_seconds() if taken else 0.0)))


class Look:
    """One look, and for --watch one after the other; a question that still hangs is not asked again
    beside itself.
    """

    def __init__(
        self,
        context: Context,
        ask_unit: Callable[[], UnitState] | None = None,
        *,
        seconds: float = 0.0,
    ) -> None:
        self._context = context
        self._ask_unit = ask_unit or self._unit
        self._asked: dict[str, Asked[Any]] = {}
        self._peer: tuple[Credentials, Peer] | None = None
        self._told: tuple[object, Observed[float | None], Observed[Cause | None]] | None = None
        self._running = status_cause.Running(context)
        self._release: tuple[object, Observed[str]] | None = None
        self._seconds = seconds

    def take(self) -> Seen:
        """Look. Raises NotRunning where K3s is not installed."""
        from k3s_rootless.service.systemd import logind

        context = self._context
        self._asked = {name: asked for name, asked in self._asked.items() if asked.asking}
        unit = self._begin("unit", self._ask_unit)
        _prepare()
        # One measure for all turns of a watch, whose time grows without the machine being slow.
        self._seconds = self._seconds or patience()
        lingers = self._begin("lingering", lambda: logind.lingers(context.user, context.paths.root))
        state, problem = self._state(unit)
        if state is not None and not state.installed:
            from k3s_rootless.operations.installation import absence

            raise absence(state)
        # A little later than the parts' own limits, whose words tell more.
        deadline = time.monotonic() + self._seconds + 0.1
        seen = self._rest(state, problem, lingers)
        if state is None or not state.running or seen.cause is not None or seen.missing is None:
            return seen
        return replace(seen, cause=self._running.of(state, deadline))

    def _rest(
        self, state: UnitState | None, problem: RootlessError | None, lingers: Asked[Observed[bool]]
    ) -> Seen:
        from k3s_rootless.cluster import kubeconfig

        context = self._context
        settings = self._settings(state)
        # A little later than the parts' own limits, whose words tell more.
        deadline = time.monotonic() + self._seconds + 0.1
        journal = self._begin_journal(state)
        read = self._begin("files", lambda: parts.files(context, state))
        config = self._begin(
            "kubeconfig", lambda: kubeconfig.load(settings.kubeconfig, uid=context.uid)
        )
        runs = state is None or state.running
        # By the name of this start: what still hangs of an earlier one must not answer for it.
        start = state.invocation if state else ""
        peer = (
            self._begin(f"connection {start}", lambda: self._connected(config, state, settings))
            if runs
            else None
        )
        ready = self._begin(f"API server {start}", lambda: self._ready(peer)) if peer else None
        nodes = self._begin(f"nodes {start}", lambda: self._nodes(peer, state)) if peer else None
        variables = (
            self._begin("environment", lambda: self._variables(state))
            if state and state.running
            else None
        )
        found = _within(read, deadline, "the file system")
        version, files = found.value if isinstance(found, Known) else (None, found)
        kit_asked = (
            self._begin(f"rootlesskit {start}", lambda: self._kit(state, settings, version))
            if runs
            else None
        )
        same = self._begin(f"record of {start}", lambda: unit_changes.are_none(context, state))
        installed = self._begin("k3s", lambda: self._installed(state, version, files))
        kit = _within(kit_asked, deadline, "rootlesskit") if kit_asked else Unknown(NOT_RUNNING)
        node = _flat(_within(nodes, deadline, "the API server")) if nodes else Unknown(NOT_RUNNING)
        period, cause = self._journal(journal, deadline)
        return Seen(
            time=datetime.now(UTC),
            state=state,
            problem=problem,
            settings=settings,
            version=version,
            files=files,
            installed=_flat(_within(installed, deadline, "k3s")),
            variables=_flat(_within(variables, deadline, "the user manager"))
            if variables
            else Unknown(NOT_RUNNING),
            kit=kit,
            kubeconfig=_within(config, deadline, "the file system"),
            ready=_flat(_within(ready, deadline, "the API server"))
            if ready
            else Unknown(NOT_RUNNING),
            nodes=node,
            usage=parts.used(state, kit),
            lingers=_flat(_within(lingers, deadline, "the file system")),
            period=period,
            cause=cause,
            milestones=parts.reached(state, settings, kit, node),
            as_started=_within(same, deadline, "record") == Known(value=True, source="record"),
        )

    def _settings(self, state: UnitState | None) -> Settings:
        # Configuration files may lie on a file system that hangs.
        context, start = self._context, state.invocation if state else ""
        asked = self._begin(f"settings {start}", lambda: server_settings.of(context, state))
        found = _within(asked, time.monotonic() + self._seconds, "the configuration of K3s")
        if isinstance(found, Known):
            return found.value
        return server_settings.of_unit_alone(context, state, found.reason)

    def _begin(self, name: str, ask: Callable[[], T]) -> Asked[T]:
        before = self._asked.get(name)
        if before is None or not before.asking:
            before = self._asked[name] = background.begin(ask)
        return before

    def _unit(self) -> UnitState:
        return self._context.unit(UNIT)

    def _state(self, asked: Asked[UnitState]) -> tuple[UnitState | None, RootlessError | None]:
        try:
            return asked.result(self._seconds), None
        except TimeoutError:
            why = f"cannot talk to the user manager: no answer within {self._seconds:.1f} s"
            return None, BusError(why, hint="see how it fares: systemctl --user status")
        except RootlessError as error:
            if self._context.uid == 0:
                # Nothing of root's has to do with it.
                raise
            return None, error

    def _variables(self, state: UnitState) -> Observed[tuple[str, ...]]:
        from k3s_rootless.service.environment import pending
        from k3s_rootless.service.observe import process

        manager = self._context.manager_environment()
        if state.environment_files:
            from k3s_rootless.operations.environment import look

            return look.pending(manager, state)
        running = process.started_with(state.main_pid, state.invocation)
        if isinstance(running, Unknown):
            return running
        return Known(pending.differing(manager, state, running.value), running.source)

    def _kit(self, state: UnitState | None, settings: Settings, version: Version | None) -> Kit:
        from k3s_rootless.rootlesskit import client

        candidates = client.state_candidates(settings, version, uid=self._context.uid)
        peer = client.live_peer(candidates, uid=self._context.uid, timeout=self._seconds)
        forwards = client.forwards(peer, self._seconds)
        # systemd names the control group; without its word, K3s's processes show it.
        child = client.child_pid(peer, None) if state is None else 0
        return Kit(peer.socket, child, forwards)

    def _connected(
        self, config: Asked[Kubeconfig], state: UnitState | None, settings: Settings
    ) -> Peer:
        from k3s_rootless.cluster import kubeconfig

        found = parts.credentials(
            lambda: config.result(self._seconds), state, settings, self._context.uid
        )
        if self._peer is None or self._peer[0] != found:
            self._peer = (found, kubeconfig.peer(found))
        return self._peer[1]

    def _ready(self, asked: Asked[Peer]) -> Observed[Readiness]:
        from k3s_rootless.cluster import api

        return api.readyz(asked.result(self._seconds), self._seconds)

    def _nodes(self, asked: Asked[Peer], state: UnitState | None) -> Observed[tuple[Node, ...]]:
        from k3s_rootless.cluster import api
        from k3s_rootless.operations.readiness import traces

        found = api.node_ready(asked.result(self._seconds), self._seconds)
        return (
            found
            if isinstance(found, Unknown)
            else Known(traces.of_this_start(found.value, state), found.source)
        )

    def _installed(
        self, state: UnitState | None, version: Version | None, files: Observed[tuple[Part, ...]]
    ) -> Observed[str]:
        # k3s is a program to be run: what it said holds until another one lies there.
        key = (parts.binary_changed(state), version, files)
        if (
            self._release is None
            or self._release[0] != key
            or isinstance(self._release[1], Unknown)
        ):
            self._release = (
                key,
                parts.installed(self._context, state, version, files, self._seconds),
            )
        return self._release[1]

    def _begin_journal(
        self, state: UnitState | None
    ) -> tuple[object, Asked[float | None], Asked[Cause | None]] | None:
        # Reading what K3s said may take as long as all the rest: that is for where it died.
        if state is None or not (state.dead or state.restarts):
            self._told = None
            return None
        from k3s_rootless.operations.diagnose import story

        # The last lines of a start may come after its end: what was told at once is asked once
        # more.
        fresh = (
            state.changed is not None
            and abs((datetime.now(UTC) - state.changed).total_seconds()) < story.SETTLE_SECONDS
        )
        key = (state.invocation, state.restarts, state.active_state, state.sub_state, fresh)
        if self._told is not None and self._told[0] == key:
            return None
        period = self._begin(f"restarts {key}", lambda: story.period(self._context))
        return (
            key,
            period,
            self._begin(f"cause {key}", lambda: status_cause.of(self._context, state)),
        )

    def _journal(
        self, asked: tuple[object, Asked[float | None], Asked[Cause | None]] | None, deadline: float
    ) -> tuple[Observed[float | None] | None, Observed[Cause | None] | None]:
        if asked is None:
            return self._told[1:] if self._told is not None else (None, None)
        key, period, cause = (
            asked[0],
            _within(asked[1], deadline, "the journal"),
            _within(asked[2], deadline, "the journal"),
        )
        self._told = (
            (key, period, cause) if isinstance(period, Known) and isinstance(cause, Known) else None
        )
        return period, cause


def _prepare() -> None:
    # Loaded while the user manager makes up its answer.
    import ssl  # noqa: F401

    from k3s_rootless.cluster import api, kubeconfig  # noqa: F401
    from k3s_rootless.rootlesskit import client  # noqa: F401


def _within(asked: Asked[T], deadline: float, who: str) -> Observed[T]:
    try:
        return Known(asked.result(max(0.0, deadline - time.monotonic())), who)
    except TimeoutError:
        return Unknown(f"{who} gave no answer in time")
    except RootlessError as error:
        return Unknown(error.message)


def _flat(observed: Observed[Observed[T]]) -> Observed[T]:
    return observed if isinstance(observed, Unknown) else observed.value
