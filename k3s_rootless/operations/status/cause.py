"""What the last start died of, by the judge of `diagnose`, without the look at the host that takes
it seconds.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from k3s_rootless import background
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed

if TYPE_CHECKING:
    from k3s_rootless.background import Asked
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_SECONDS = 5.0
_MOST_TURNS = 60


def of(context: Context, state: UnitState) -> Cause | None:
    """Name the cause; None where neither systemd nor the journal does.

    Raises RootlessError where that cannot be read.
    """
    from k3s_rootless.journal import verdict
    from k3s_rootless.operations.diagnose import ending, story

    end = ending.of(state)
    return verdict.of_unit(end) or verdict.of_story(
        story.of(context, state, None, ready=False), end
    )


class Running:
    """What keeps a K3s from ever becoming ready that runs, and that systemd has not restarted.

    The journal is read again every few seconds only, and in the first minutes only: a watch looks
    each second, the journal of a start may be long, and what K3s waits for without end it says
    early.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._turn = ("", 0)
        self._asked: Asked[Cause | None] | None = None

    def of(self, state: UnitState, deadline: float) -> Observed[Cause | None] | None:
        """Return the cause that the lines of this start name, None where they name none or are not
        read by `deadline`.
        """
        age = (datetime.now(UTC) - state.started).total_seconds() if state.started else 0.0
        turn = (state.invocation, min(int(age / _SECONDS), _MOST_TURNS))
        # What still hangs is not asked again beside itself, and does not answer for another start.
        if (
            self._asked is None
            or self._turn[0] != turn[0]
            or (self._turn != turn and not self._asked.asking)
        ):
            self._turn, self._asked = turn, background.begin(lambda: self._named(state))
        try:
            return Known(background.answer(self._asked, deadline), "the journal")
        except RootlessError:
            return None

    def _named(self, state: UnitState) -> Cause | None:
        from k3s_rootless.operations.diagnose import last_words

        cause = last_words.heard(self._context, state.invocation, ready=False).cause
        return cause if cause is not None and cause.fatal else None
