"""Asks all questions of a look but the first one, and puts the answers together."""

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
"""Seconds that a look waits longer than a question: the reason of a question that gives up says
more.
"""


class Observer:
    """Observes K3s once, or for a watch again and again; each question has `seconds`."""

    def __init__(self, context: Context, asking: Asking, seconds: float) -> None:
        self._context = context
        self._asking = asking
        self._seconds = seconds
        self._memory = Memory()
        self._death: LastDeath | None = None
        self._stuck: Stuck | None = None

    def seen(self, state: UnitState | None, problem: RootlessError | None) -> Seen:
        """Return the record of a look at the K3s of this unit."""
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
        # Configuration files may be on a file system that hangs.
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
        """Begin to read the journal of a K3s that died; that may take as long as all the rest."""
        if state is None or not (state.dead or state.restarts):
            self._death = None
            return None
        # Loaded only here: the judge of the journal takes 18 ms to load.
        from k3s_rootless.operations.status.death import LastDeath

        if self._death is None:
            self._death = LastDeath(self._context, self._asking)
        self._death.begin(state)
        return self._death

    def _cause_of_running(self, state: UnitState, deadline: float) -> Observed[Cause | None] | None:
        # Loaded only here, as above.
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
