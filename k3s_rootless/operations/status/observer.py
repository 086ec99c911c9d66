"""Run all queries of a check except the first one, and combine the answers."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Observed, Unknown, value_or
from k3s_rootless.operations import server_settings
from k3s_rootless.operations.status import parts, pending, questions
from k3s_rootless.operations.status.asking import Asking, within
from k3s_rootless.operations.status.model import Seen
from k3s_rootless.operations.status.questions import Memory, Round

if TYPE_CHECKING:
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.status.death import LastDeath
    from k3s_rootless.operations.status.stuck import Stuck
    from k3s_rootless.service.facts import UnitState

_GRACE = 0.1
"""The time in seconds that a check waits beyond the time limit of a query.

So a query can report its own reason for a failure, which is more precise.
"""


class Observer:
    """Observe K3s once, or repeatedly for a watch; the time limit of each query is `seconds`."""

    def __init__(self, context: Context, asking: Asking, seconds: float) -> None:
        self._context = context
        self._asking = asking
        self._seconds = seconds
        self._memory = Memory()
        self._death: LastDeath | None = None
        self._stuck: Stuck | None = None

    def seen(self, state: UnitState | None, problem: RootlessError | None) -> Seen:
        """Return the record of a check of the K3s that this unit runs."""
        settings = self._settings(state)
        deadline = time.monotonic() + self._seconds + _GRACE
        look = Round(
            self._context, state, settings, self._seconds, deadline, self._asking, self._memory
        )
        death = self._begin_death(state)
        look.begin()
        found = _record(look, problem)
        if death is not None:
            period, cause = death.answers(deadline)
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

        asked = self._asking.begin(f"settings {start}", read)
        found = within(asked, time.monotonic() + self._seconds, "the configuration of K3s")
        if isinstance(found, Unknown):
            return server_settings.of_unit_alone(context, state, found.reason)
        return found.value

    def _begin_death(self, state: UnitState | None) -> LastDeath | None:
        """Start to read the journal of a failed K3s; this can take as long as all the rest."""
        if state is None or not (state.failed or state.restarts):
            self._death = None
            return None
        # Imported here: the modules that read the journal take 18 ms to load.
        from k3s_rootless.operations.status.death import LastDeath

        if self._death is None:
            self._death = LastDeath(self._context, self._asking)
        self._death.begin(state)
        return self._death

    def _cause_of_running(self, state: UnitState, deadline: float) -> Observed[Cause | None] | None:
        # Imported here for the same reason as above.
        from k3s_rootless.operations.status.stuck import Stuck

        if self._stuck is None:
            self._stuck = Stuck(self._context)
        return self._stuck.cause(state, deadline)


def _record(look: Round, problem: RootlessError | None) -> Seen:
    files = look.answer(questions.FILES)
    kit = look.answer(questions.KIT)
    nodes = look.answer(questions.NODES)
    kubeconfig = look.answer(questions.KUBECONFIG)
    ready = look.answer(questions.READY)
    found = Seen(
        time=datetime.now(UTC),
        state=look.state,
        problem=problem,
        settings=look.settings,
        version=None if isinstance(files, Unknown) else files.value.version,
        files=files if isinstance(files, Unknown) else Known(files.value.files, files.source),
        installed=look.answer(questions.INSTALLED),
        variables=look.answer(questions.VARIABLES),
        kit=kit,
        kubeconfig=kubeconfig,
        ready=ready,
        nodes=nodes,
        usage=parts.used(look.state, kit),
        lingers=look.answer(questions.LINGERS),
        period=None,
        cause=None,
        milestones=parts.reached(look.state, look.settings, kit, nodes),
        certificates=parts.certificates(kubeconfig, ready),
    )
    changed = value_or(look.answer(questions.CHANGED), None)
    as_started = value_or(look.answer(questions.AS_STARTED), default=False)
    return replace(found, pending=pending.of(found, changed, as_started=as_started))
