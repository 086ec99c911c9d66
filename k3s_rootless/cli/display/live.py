"""How a start is watched: drawn on a terminal, as lines in a pipe, as events for a program
(docs/reference/json.md).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from k3s_rootless.cli.display import style
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.events import Died, PhaseReached, Waiting

_FRAMES_A_SECOND = 8
_LONGEST = 200


def prepare(report: Report) -> None:
    """Load what draws, where a start is to be drawn."""
    if report.on_terminal(story=True):
        from rich import console, live, table, text  # noqa: F401


class Progress:
    """Shows a start as it goes on, from the events of the wait for it."""

    def __init__(self, report: Report, wait: Waiting) -> None:
        self._report = report
        self._wait = wait
        self._reached: list[PhaseReached] = []
        self._begun = time.monotonic()
        self._ended = False
        self._live: Live | None = None
        if report.on_terminal(story=True):
            from rich.live import Live

            self._live = Live(
                get_renderable=self._drawn,
                console=style.console(stderr=True),
                refresh_per_second=_FRAMES_A_SECOND,
            )
            self._live.start()

    def reached(self, one: PhaseReached) -> None:
        """Show that a phase was reached."""
        self._reached.append(one)
        if self._report.eventful:
            self._report.event("phase", **one.document())
        elif self._live is None:
            self._report.story(f"{one.seconds:6.1f} s  {one.phase.name} ({one.took:.1f} s)")

    def died(self, death: Died) -> None:
        """Show that the start has failed, before anybody knows why."""
        self.end()
        state = death.state
        how = f"the unit is {state.active_state} ({state.sub_state}), its result `{state.result}`"
        if self._report.eventful:
            self._report.event(
                "died",
                phase=death.phase.key,
                seconds=round(death.seconds, 3),
                restarts=state.restarts,
                result=state.result,
                exit_code=state.exit_code,
                exit_status=state.exit_status,
            )
            return
        # Somebody may have stopped it: that is no death of its own.
        verb = "died" if state.dead or state.result != "success" else "ended"
        self._report.story(
            f"{death.seconds:6.1f} s  it {verb} while waiting for `{death.phase.name}`: {how};"
            " looking for the cause"
        )

    def end(self) -> None:
        """Stop drawing; what was drawn stays."""
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
        reached = tuple(self._reached)
        for one in reached:
            table.add_row(
                f"{one.seconds:6.1f} s", one.phase.name, Text(f"{one.took:.1f} s", style="dim")
            )
        waiting = self._wait.now()
        elapsed = time.monotonic() - self._begun
        for number, phase in enumerate(self._wait.phases[len(reached) :]):
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
