"""How a start is watched: drawn on a terminal, as lines in a pipe, as events for a program
(docs/reference/json.md).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.live import Live
    from rich.table import Table

    from k3s_rootless.cli.observer import Observer
    from k3s_rootless.cli.report import Report
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.readiness import Phase

_FRAMES_A_SECOND = 8
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Reached:
    """A phase that was reached, so many seconds after the wait began; it took `took` of them."""

    phase: Phase
    seconds: float
    took: float

    def document(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        return {
            "phase": self.phase.key,
            "name": self.phase.name,
            "seconds": round(self.seconds, 3),
            "took": round(self.took, 3),
        }


def prepare(report: Report) -> None:
    """Load what draws, where a start is to be drawn."""
    if report.on_terminal(story=True):
        from rich import console, live, table, text  # noqa: F401


class Progress:
    """Tells of a start as it goes on; use it as a context."""

    def __init__(self, report: Report, observer: Observer, phases: Sequence[Phase]) -> None:
        self.reached: list[Reached] = []
        self._report = report
        self._observer = observer
        self.phases = tuple(phases)
        self._begun = time.monotonic()
        self._ended = False
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self._report.on_terminal(story=True):
            from rich.console import Console
            from rich.live import Live

            console = Console(stderr=True, highlight=False, emoji=False, markup=False)
            self._live = Live(
                get_renderable=self._drawn, console=console, refresh_per_second=_FRAMES_A_SECOND
            )
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def note(self, phase: Phase, seconds: float) -> None:
        """Tell that a phase was reached, so many seconds after the beginning."""
        one = Reached(phase, seconds, seconds - (self.reached[-1].seconds if self.reached else 0.0))
        self.reached.append(one)
        if self._report.eventful:
            self._report.event("phase", **one.document())
        elif self._live is None:
            self._report.story(f"{seconds:6.1f} s  {phase.name} ({one.took:.1f} s)")

    def died(self, phase: str, state: UnitState) -> None:
        """Tell that the start has failed, before anybody knows why."""
        seconds = time.monotonic() - self._begun
        self._end()
        how = f"the unit is {state.active_state} ({state.sub_state}), its result `{state.result}`"
        if self._report.eventful:
            ending = {
                "result": state.result,
                "exit_code": state.exit_code,
                "exit_status": state.exit_status,
            }
            key = next((one.key for one in self.phases if one.name == phase), "")
            self._report.event(
                "died", phase=key, seconds=round(seconds, 3), restarts=state.restarts, **ending
            )
        else:
            # Somebody may have stopped it: that is no death of its own.
            verb = "died" if state.dead or state.result != "success" else "ended"
            self._report.story(
                f"{seconds:6.1f} s  it {verb} while waiting for `{phase}`: {how}; looking for the"
                " cause"
            )

    def _end(self) -> None:
        live, self._live, self._ended = self._live, None, True
        if live is not None:
            live.stop()

    def _drawn(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True)
        table.add_column()
        table.add_column()
        reached = tuple(self.reached)
        for one in reached:
            table.add_row(
                f"{one.seconds:6.1f} s", one.phase.name, Text(f"{one.took:.1f} s", style="dim")
            )
        waiting = self._observer.waits_for()
        elapsed = time.monotonic() - self._begun
        for number, phase in enumerate(self.phases[len(reached) :]):
            if number == 0 and not self._ended:
                missing = waiting[1] if waiting and waiting[0].name == phase.name else ""
                turning = r"-\|/"[int(elapsed * 4) % 4]
                table.add_row(
                    f"{turning} {elapsed:.1f} s",
                    Text(phase.name, style="bold"),
                    printable(missing, _LONGEST),
                )
            else:
                table.add_row("", Text(phase.name, style="dim"), "")
        return table
