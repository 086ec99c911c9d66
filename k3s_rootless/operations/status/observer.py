"""Run all queries of a check except the first one, and combine the answers."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Observed, Unknown, value_or
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.status import parts, pending, queries
from k3s_rootless.operations.status.model import Snapshot
from k3s_rootless.operations.status.open_queries import OpenQueries, within
from k3s_rootless.operations.status.queries import Check, Memory

if TYPE_CHECKING:
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.status.last_failure import LastFailure
    from k3s_rootless.operations.status.stuck import Stuck
    from k3s_rootless.service.facts import UnitState

_GRACE = 0.1
"""The time in seconds that a check waits beyond the time limit of a query.

So a query can report its own reason for a failure, which is more precise.
"""


class Observer:
    """Observe K3s once, or repeatedly for a watch; the time limit of each query is `seconds`."""

    def __init__(self, context: Context, open_queries: OpenQueries, seconds: float) -> None:
        self._context = context
        self._queries = open_queries
        self._seconds = seconds
        self._memory = Memory()
        self._failure: LastFailure | None = None
        self._stuck: Stuck | None = None

    def snapshot(self, state: UnitState | None, problem: RootlessError | None) -> Snapshot:
        """Return the record of a check of the K3s that this unit runs."""
        settings = self._settings(state)
        deadline = time.monotonic() + self._seconds + _GRACE
        check = Check(
            self._context, state, settings, self._seconds, deadline, self._queries, self._memory
        )
        failure = self._begin_failure(state)
        check.begin()
        found = _record(check, problem)
        if failure is not None:
            period, cause = failure.answers(deadline)
            return replace(found, period=period, cause=cause)
        if state is None or found.missing is None:
            return found
        return replace(found, cause=self._cause_of_running(state, deadline))

    def _settings(self, state: UnitState | None) -> Settings:
        # Configuration files may be on a file system that does not respond.
        context = self._context
        start = "" if state is None else state.invocation

        def read() -> Observed[Settings]:
            return Known(server_settings.of(context, state))

        task = self._queries.begin(f"settings {start}", read)
        found = within(task, time.monotonic() + self._seconds, "the configuration of K3s")
        if isinstance(found, Unknown):
            return server_settings.of_unit_alone(context, state, found.reason)
        return found.value

    def _begin_failure(self, state: UnitState | None) -> LastFailure | None:
        """Start to read the journal of a failed K3s; this can take as long as all the rest."""
        if state is None or not (state.failed or state.restarts):
            self._failure = None
            return None
        # Imported here: the modules that read the journal take 18 ms to load.
        from k3s_rootless.operations.status.last_failure import LastFailure

        if self._failure is None:
            self._failure = LastFailure(self._context, self._queries)
        self._failure.begin(state)
        return self._failure

    def _cause_of_running(self, state: UnitState, deadline: float) -> Observed[Cause | None] | None:
        # Imported here for the same reason as above.
        from k3s_rootless.operations.status.stuck import Stuck

        if self._stuck is None:
            self._stuck = Stuck(self._context)
        return self._stuck.cause(state, deadline)


def _record(check: Check, problem: RootlessError | None) -> Snapshot:
    files = check.answer(queries.FILES)
    kit = check.answer(queries.KIT)
    nodes = check.answer(queries.NODES)
    kubeconfig = check.answer(queries.KUBECONFIG)
    ready = check.answer(queries.READY)
    found = Snapshot(
        time=datetime.now(UTC),
        state=check.state,
        problem=problem,
        settings=check.settings,
        version=None if isinstance(files, Unknown) else files.value.version,
        files=files if isinstance(files, Unknown) else Known(files.value.files, files.source),
        installed=check.answer(queries.INSTALLED),
        variables=check.answer(queries.VARIABLES),
        kit=kit,
        kubeconfig=kubeconfig,
        ready=ready,
        nodes=nodes,
        usage=parts.used(check.state, kit),
        lingers=check.answer(queries.LINGERS),
        unfinished=check.answer(queries.UNFINISHED),
        backups=check.answer(queries.BACKUPS),
        period=None,
        cause=None,
        milestones=parts.reached(check.state, check.settings, kit, nodes),
        certificates=parts.certificates(kubeconfig, ready),
        certificate_ends=check.answer(queries.CERTIFICATE_ENDS),
        node_files=value_or(check.answer(queries.NODE_FILES), ""),
        stale_copies=value_or(check.answer(queries.STALE_COPIES), ()),
    )
    changed = value_or(check.answer(queries.CHANGED), None)
    as_started = value_or(check.answer(queries.AS_STARTED), default=False)
    return replace(found, pending=pending.of(found, changed, as_started=as_started))
