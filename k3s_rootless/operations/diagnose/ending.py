"""Convert the state of the unit for the diagnosis of the journal.

This includes how the last process ended, and the limits that the files of the unit set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.journal import limits
from k3s_rootless.journal.facts import Ending, Limit
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.drop_ins.limits import LIMITS
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from k3s_rootless.service.facts import UnitState


def of(state: UnitState, period: float | None = None) -> Ending:
    """Return the facts about the unit that the diagnosis needs.

    `period` is the time between two restarts, in seconds.
    """
    return Ending(
        load_state=state.load_state,
        active_state=state.active_state,
        sub_state=state.sub_state,
        result=state.result,
        load_error=state.load_error,
        code=state.exit_code,
        status=state.exit_status,
        restarts=state.restarts,
        period=period,
        needs_reload=state.needs_reload,
        delegate=state.delegate,
        drop_ins=tuple(map(str, state.drop_ins)),
        changed=state.changed,
        memory_peak=state.memory_peak,
        limits=_limits(state),
    )


def _limits(state: UnitState) -> tuple[Limit, ...]:
    low = limits.relevant(state.limits)
    if not low:
        return ()
    paths = [path for path in (state.fragment, *state.drop_ins) if path is not None]
    texts = {str(path): files.or_problem(path).text or "" for path in paths}
    return tuple(_limit(name, value, limits.found_in(name, texts)) for name, value in low)


def _limit(name: str, value: int, file: str) -> Limit:
    ours = name in LIMITS and drop_in.is_ours(Path(file).name)
    return Limit(name, value, file, writable=os.access(file, os.W_OK), ours=ours)
