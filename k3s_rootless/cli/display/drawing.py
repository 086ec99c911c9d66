"""Draw the phases of a start on a terminal, repeatedly in the same place."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.live import Live
from rich.table import Table
from rich.text import Text

from k3s_rootless.cli.display import style
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from k3s_rootless.operations.launch.events import PhaseReached, Waiting

_FRAMES_A_SECOND = 8
_LONGEST = 200


class Drawing:
    """The phases that were reached, the current phase, and the phases after it."""

    def __init__(self, wait: Waiting) -> None:
        self._wait = wait
        self._reached: list[PhaseReached] = []
        self._begun = time.monotonic()
        self._ended = False
        self._live = Live(
            get_renderable=self._drawn,
            console=style.console(stderr=True),
            refresh_per_second=_FRAMES_A_SECOND,
        )
        self._live.start()

    def reached(self, one: PhaseReached) -> None:
        """Draw that a phase was reached."""
        self._reached.append(one)

    def end(self) -> None:
        """Stop drawing; the last drawing stays on the terminal."""
        if self._ended:
            return
        self._ended = True
        self._live.stop()

    def _drawn(self) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True)
        table.add_column()
        table.add_column()
        reached = tuple(self._reached)
        for one in reached:
            took = Text(f"{one.took:.1f} s", style="dim")
            table.add_row(f"{one.seconds:6.1f} s", one.phase.name, took)
        left = self._wait.phases[len(reached) :]
        if left and not self._ended:
            table.add_row(*self._current(left[0].name))
            left = left[1:]
        for phase in left:
            table.add_row("", Text(phase.name, style="dim"), "")
        return table

    def _current(self, name: str) -> tuple[str, Text, str]:
        """Return the row of the current phase."""
        elapsed = time.monotonic() - self._begun
        turning = r"-\|/"[int(elapsed * 4) % 4]
        waiting = self._wait.now()
        missing = ""
        if waiting and waiting[0].name == name:
            missing = printable(waiting[1], _LONGEST)
        return f"{turning} {elapsed:.1f} s", Text(name, style="bold"), missing
