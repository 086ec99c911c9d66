"""Run the queries of repeated checks, each in its own thread and with a time limit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from k3s_rootless import background
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Observed, Unknown

if TYPE_CHECKING:
    from k3s_rootless.background import BackgroundQuery

T = TypeVar("T")


class OpenQueries:
    """Queries by name; a query is not repeated while its answer is pending."""

    def __init__(self) -> None:
        self._tasks: dict[str, BackgroundQuery[Any]] = {}

    def begin(self, name: str, query: Callable[[], T]) -> BackgroundQuery[T]:
        """Start a query, or return the pending query with this name."""
        before = self._tasks.get(name)
        if before is not None and before.running:
            return before
        task = background.begin(query)
        self._tasks[name] = task
        return task

    def drop_answered(self) -> None:
        """Remove the queries that have an answer."""
        self._tasks = {name: task for name, task in self._tasks.items() if task.running}


def within(task: BackgroundQuery[Observed[T]], deadline: float, target: str) -> Observed[T]:
    """Return the answer, or Unknown if there is none by `deadline` (time.monotonic).

    `target` is the name of the queried program or file, used in the reason.
    """
    try:
        return task.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return Unknown(f"{target} did not answer in time")
    except RootlessError as error:
        return Unknown(error.message)
