"""Draw the progress of a download on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from k3s_rootless import byte_size
from k3s_rootless.cli.display import style
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from k3s_rootless.operations.releases.events import Arriving


class Bar:
    """A bar with the bytes, the rate and the time that is left."""

    def __init__(self, first: Arriving) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            _Bytes(),
            TimeRemainingColumn(),
            console=style.console(stderr=True),
        )
        self._task = self._progress.add_task(
            printable(first.name), total=first.size, completed=first.received
        )
        self._progress.start()

    def update(self, event: Arriving) -> None:
        """Draw how much has arrived."""
        self._progress.update(self._task, total=event.size, completed=event.received)

    def end(self) -> None:
        """Stop drawing; the last drawing stays on the terminal."""
        self._progress.stop()


class _Bytes(ProgressColumn):
    """The bytes that have arrived, the size, and the rate. rich's own columns count in MB."""

    def render(self, task: Task) -> Text:
        text = byte_size.text(task.completed)
        if task.total is not None:
            text += f" of {byte_size.text(task.total)}"
        rate = task.finished_speed or task.speed
        if rate is not None:
            text += f", {byte_size.text(rate)}/s"
        return Text(text)
