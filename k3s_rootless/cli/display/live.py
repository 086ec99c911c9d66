"""Show the progress of a start: drawn on a terminal, as lines in a pipe, or as events.

Events are for programs (docs/reference/json.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.cli.display.drawing import Drawing
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.launch.events import Died, PhaseReached, Waiting
    from k3s_rootless.service.facts import UnitState

# ExecMainCode of systemd has the values of CLD_EXITED, CLD_KILLED and CLD_DUMPED (waitid(2)).
_EXITED, _SIGNALLED = 1, frozenset({2, 3})


def prepare(report: Report) -> None:
    """Load the drawing modules if a start will be drawn."""
    if report.draws and report.on_terminal(stderr=True):
        from k3s_rootless.cli.display import drawing  # noqa: F401


class Progress:
    """Shows the progress of a start, from the events of the wait for it."""

    def __init__(self, report: Report, wait: Waiting) -> None:
        self._report = report
        self._drawing: Drawing | None = None
        if report.draws and report.on_terminal(stderr=True):
            # Imported here because only a terminal needs rich, which takes 40 ms.
            from k3s_rootless.cli.display.drawing import Drawing

            self._drawing = Drawing(wait)

    def reached(self, one: PhaseReached) -> None:
        """Show that a phase was reached."""
        if self._drawing is not None:
            self._drawing.reached(one)
        elif self._report.prints_events:
            self._report.event("phase", **one.document())
        else:
            self._report.notice(f"{one.seconds:6.1f} s  {one.phase.name} ({one.took:.1f} s)")

    def died(self, death: Died) -> None:
        """Show that the start has failed, before the cause is known."""
        self.end()
        state = death.state
        if self._report.prints_events:
            self._report.event(
                "exited",
                phase=death.phase.key,
                seconds=round(death.seconds, 3),
                restarts=state.restarts,
                result=state.result,
                exit_code=state.exit_code,
                exit_status=state.exit_status,
            )
            return
        self._report.notice(
            f"K3s {_ending(state, death.seconds)}, before {death.phase.goal} ({_result(state)});"
            " reading its log"
        )

    def end(self) -> None:
        """Stop drawing; the last drawing stays on the terminal."""
        if self._drawing is not None:
            self._drawing.end()


def _ending(state: UnitState, seconds: float) -> str:
    verb = "stopped"
    if state.failed or state.result != "success":
        verb = "exited"
    elif state.running:
        verb = "was restarted"
    return f"{verb} after {seconds:.1f} s"


def _result(state: UnitState) -> str:
    """Return how the process ended; the state of the unit if systemd does not report this."""
    if state.exit_code == _EXITED and state.exit_status:
        return f"exit code {state.exit_status}"
    if state.exit_code in _SIGNALLED:
        return f"signal {state.exit_status}"
    if state.result != "success":
        return f"result {state.result}"
    return f"unit state {state.active_state}/{state.sub_state}"
