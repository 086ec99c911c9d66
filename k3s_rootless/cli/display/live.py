"""Show the progress of a start: drawn on a terminal, as lines in a pipe, or as events.

Events are for programs (docs/reference/json.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.cli.display.drawing import Drawing
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.launch.events import Died, PhaseReached, Waiting


def prepare(report: Report) -> None:
    """Load the drawing modules if a start will be drawn."""
    if report.on_terminal(story=True):
        from k3s_rootless.cli.display import drawing  # noqa: F401


class Progress:
    """Shows the progress of a start, from the events of the wait for it."""

    def __init__(self, report: Report, wait: Waiting) -> None:
        self._report = report
        self._drawing: Drawing | None = None
        if report.on_terminal(story=True):
            # Imported here because only a terminal needs rich, which takes 40 ms.
            from k3s_rootless.cli.display.drawing import Drawing

            self._drawing = Drawing(wait)

    def reached(self, one: PhaseReached) -> None:
        """Show that a phase was reached."""
        if self._drawing is not None:
            self._drawing.reached(one)
        elif self._report.eventful:
            self._report.event("phase", **one.document())
        else:
            self._report.story(f"{one.seconds:6.1f} s  {one.phase.name} ({one.took:.1f} s)")

    def died(self, death: Died) -> None:
        """Show that the start has failed, before the cause is known."""
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
        # A unit that was stopped on request has ended, but did not fail.
        verb = "ended"
        if state.failed or state.result != "success":
            verb = "died"
        self._report.story(
            f"{death.seconds:6.1f} s  it {verb} while waiting for `{death.phase.name}`: {how};"
            " looking for the cause"
        )

    def end(self) -> None:
        """Stop drawing; the last drawing stays on the terminal."""
        if self._drawing is not None:
            self._drawing.end()
