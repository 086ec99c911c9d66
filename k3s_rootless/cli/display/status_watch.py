"""`k3s-rootless status --watch`: the same answer, again and again, as it changes.

The user manager tells of each change of the unit. What nobody tells of (readiness, forwards,
memory) is looked at again every second. A thread of its own keeps the connection to the manager, so
that a bus which hangs holds up nothing but its own part.
"""

from __future__ import annotations

import gc
import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from k3s_rootless.cli.display import status
from k3s_rootless.errors import BusError, NotRunning, RootlessError
from k3s_rootless.observation import Known
from k3s_rootless.operations.status import document as status_document
from k3s_rootless.operations.status.look import Look
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from k3s_rootless.cli.display.terminal import Screen
    from k3s_rootless.cli.session import Session
    from k3s_rootless.operations.status.model import Seen
    from k3s_rootless.service.facts import UnitState

INTERVAL = 1.0
_SHORTEST = 0.05
"""Seconds between two looks, however many signals come meanwhile."""
_PAUSE = 0.5
"""Seconds before the user manager is asked again after it was lost."""
_SILENCE = 2.0
"""Seconds without an answer after which what it last said is not taken for the truth any more."""


class Followed:
    """The unit as the user manager has it, kept up to date by a thread; it connects anew whenever
    the manager is lost.
    """

    def __init__(self, session: Session) -> None:
        self.changed = threading.Event()
        self._session = session
        self._state: UnitState | RootlessError = BusError(
            "cannot talk to the user manager: no answer yet"
        )
        self._asked: float | None = None
        self._answered = threading.Event()
        threading.Thread(target=self._run, name="unit", daemon=True).start()

    def state(self) -> UnitState:
        """Give what the manager said last; the first time, wait for it.

        Raises RootlessError where it is lost or silent.
        """
        self._answered.wait(_SILENCE)
        if self._asked is not None and time.monotonic() - self._asked > _SILENCE:
            raise BusError(f"cannot talk to the user manager: no answer within {_SILENCE:g} s")
        if isinstance(self._state, RootlessError):
            raise self._state
        return self._state

    def _run(self) -> None:
        while True:
            try:
                self._asked = time.monotonic()
                self._follow()
            except RootlessError as error:
                self._put(error)
            time.sleep(_PAUSE)

    def _follow(self) -> None:
        with self._session.manager() as manager:
            manager.watch(UNIT)
            while True:
                self._asked = time.monotonic()
                self._put(manager.unit(UNIT))
                # Asked again without a signal as well: a manager that was executed anew may have
                # forgotten who listens.
                manager.wait_change(2 * INTERVAL)

    def _put(self, state: UnitState | RootlessError) -> None:
        different = repr(state) != repr(self._state)
        self._state, self._asked = state, None
        self._answered.set()
        if different:
            self.changed.set()


class Watch:
    """What was told last."""

    def __init__(self, session: Session, screen: Screen | None) -> None:
        self._report = session.report
        self._screen = screen
        self._document = ""
        self._facts: dict[str, str] = {}
        self._lost = ""

    def tell(self, seen: Seen) -> None:
        """Tell what is different."""
        lost = seen.problem.message if seen.problem else ""
        if self._screen is None and lost != self._lost:
            self._report.story(
                f"lost the user manager: {lost}" if lost else "the user manager answers again"
            )
        self._lost = lost
        if self._report.json_for is not None:
            content = status_document.document(seen)
            document = status_document.without_usage(content)
            if document != self._document:
                self._report.document_line(content)
            self._document = document
        elif self._screen is not None:
            lines = [*status.lines(seen), *([f"lost         {lost}"] if lost else [])]
            self._screen.show(lines, status.LABEL)
        else:
            self._tell_lines(seen)

    def tell_absence(self, error: NotRunning) -> None:
        """Tell that there is no unit (any more)."""
        if self._report.json_for is not None:
            content = {"installed": False, "errors": [error.document()]}
            if repr(content) != self._document:
                self._report.document_line(content)
            self._document = repr(content)
        elif self._screen is not None:
            self._screen.show([error.message, error.hint or ""], hang=2)
        elif self._facts.get("K3s") != error.message:
            self._facts = {"K3s": error.message}
            self._report.answer(f"{_now()} K3s: {error.message}")

    def _tell_lines(self, seen: Seen) -> None:
        facts = dict(_facts(seen))
        for name, text in facts.items():
            if self._facts.get(name) != text:
                self._report.answer(f"{_now()} {name}: {text}")
        for name in self._facts.keys() - facts.keys():
            self._report.answer(f"{_now()} {name}: -")
        self._facts = facts


def run(session: Session) -> None:
    """Watch until interrupted, or until nobody reads any more."""
    # Loading is over, and this may go on for days: garbage is looked for as Python does it by
    # itself, and not seldom.
    gc.freeze()
    gc.set_threshold(700, 10, 10)
    report = session.report
    followed = Followed(session)
    look = Look(session, followed.state)
    live = report.screen() if report.on_terminal() else nullcontext()
    with live as screen:
        watch = Watch(session, screen)
        while not report.reader_left():
            try:
                watch.tell(look.take())
            except NotRunning as error:
                watch.tell_absence(error)
            followed.changed.wait(INTERVAL)
            followed.changed.clear()
            time.sleep(_SHORTEST)


def _facts(seen: Seen) -> list[tuple[str, str]]:
    """Give what is worth a line when it changes: nothing that grows by itself."""
    state, missing = seen.state, seen.missing
    runs = state is None or state.running
    told = [("K3s", seen.word + (f": {missing[0]}: {missing[1]}" if missing and runs else ""))]
    if state is not None:
        told.append(
            (
                "unit",
                f"{state.active_state} ({state.sub_state}), invocation {state.invocation or '-'}",
            )
        )
        told.append(("restarts", str(state.restarts)))
    if seen.died_of is not None:
        told.append(("earlier" if seen.died_of.earlier else "cause", seen.died_of.title))
    if isinstance(seen.kit, Known):
        told.append(("forwards", str(len(seen.kit.value.forwards))))
    pending = [
        f"{one['what']}: {one['cause']}" for one in status_document.document(seen)["pending"]
    ]
    if pending:
        told.append(("pending", "; ".join(pending)))
    return told


def _now() -> str:
    from datetime import datetime

    return datetime.now().astimezone().isoformat(timespec="milliseconds")
