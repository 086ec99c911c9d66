"""Looks at the phases of a start, one after the other, in a thread of its own.

So that a question that hangs (an API server that accepts and never answers) holds nobody up who
waits for the unit's death.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import partial

from k3s_rootless.operations.readiness.wait import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, Phase


class Observer:
    """What is known of the phases by now; `wake` is called whenever that is more than before."""

    def __init__(self, phases: Sequence[Phase], wake: Callable[[], None]) -> None:
        self._phases = tuple(phases)
        self._wake = wake
        self._missing: dict[str, str | None] = dict.fromkeys(
            (phase.name for phase in phases), "nobody has looked yet"
        )
        self._looked: set[str] = set()
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="observer", daemon=True).start()

    def phases(self) -> tuple[Phase, ...]:
        """Give the phases as they are known: looking at these never waits."""
        return tuple(
            Phase(
                one.name,
                partial(self._known, one.name),
                one.key,
                looked=partial(self._looked.__contains__, one.name),
            )
            for one in self._phases
        )

    def waits_for(self) -> tuple[Phase, str] | None:
        """Give the phase that is waited for, and what is missing; None when all were reached."""
        return next(
            ((one, told) for one in self._phases if (told := self._missing[one.name]) is not None),
            None,
        )

    def stop(self) -> None:
        """Let the thread end when its question does; nobody waits for it."""
        self._stopped.set()

    def _known(self, name: str) -> str | None:
        if self._error is not None:
            raise self._error
        return self._missing[name]

    def _run(self) -> None:
        try:
            for phase in self._phases:
                self._reach(phase)
        except BaseException as error:  # noqa: BLE001 (whoever looks gets it)
            self._error = error
            self._wake()

    def _reach(self, phase: Phase) -> None:
        pause = FIRST_PAUSE
        # A question may hang for as long as anybody waits.
        self._missing[phase.name] = "it was asked, and has not answered yet"
        while not self._stopped.is_set():
            missing = phase.missing()
            self._missing[phase.name] = missing
            self._looked.add(phase.name)
            if missing is None:
                self._wake()
                return
            if phase.wait is None:
                self._stopped.wait(pause)
            elif phase.wait(pause):
                # A socket is told of when it is bound, a moment before anybody listens there.
                pause = FIRST_PAUSE
                continue
            pause = min(pause * 1.5, LONGEST_PAUSE if phase.wait is None else PATIENCE)
