"""Show the progress of a download: a bar on a terminal, otherwise a line every few seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from k3s_rootless import byte_size

if TYPE_CHECKING:
    from k3s_rootless.cli.display.report import Report
    from k3s_rootless.operations.releases.events import Arriving

_SECONDS = 5.0
"""The time between two lines."""


class Download:
    """Shows the progress of one file."""

    def __init__(self, report: Report, first: Arriving) -> None:
        self._report = report
        self._started = time.monotonic()
        self._had = first.received
        self._next = self._started
        self._bar: Bar | None = None
        if report.on_terminal(stderr=True):
            # Imported here because only a terminal needs rich, which takes 40 ms.
            from k3s_rootless.cli.display.bar import Bar

            self._bar = Bar(first)

    def arriving(self, event: Arriving) -> None:
        """Show how much has arrived."""
        if self._bar is not None:
            self._bar.update(event)
            return
        now = time.monotonic()
        if now >= self._next or event.received == event.size:
            self._next = now + _SECONDS
            self._report.notice(self._line(event, now - self._started))

    def end(self) -> None:
        """Stop drawing; the last drawing stays on the terminal."""
        if self._bar is not None:
            self._bar.end()

    def _line(self, event: Arriving, seconds: float) -> str:
        if event.size is None:
            return f"{event.name} from {event.host}: {byte_size.text(event.received)}"
        share = 100 * event.received // max(event.size, 1)
        text = (
            f"{event.name} from {event.host}: {byte_size.text(event.received)} of"
            f" {byte_size.text(event.size)} ({share}%)"
        )
        rate = (event.received - self._had) / max(seconds, 0.001)
        if rate <= 0:
            return text
        text += f", {byte_size.text(rate)}/s"
        if event.received < event.size:
            text += f", {_duration((event.size - event.received) / rate)} left"
        return text


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
