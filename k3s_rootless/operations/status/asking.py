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


class Asking:
    """Queries by name; a query is not repeated while its answer is pending."""

    def __init__(self) -> None:
        self._asked: dict[str, BackgroundQuery[Any]] = {}

    def begin(self, name: str, ask: Callable[[], T]) -> BackgroundQuery[T]:
        """Start a query, or return the pending query with this name."""
        before = self._asked.get(name)
        if before is not None and before.running:
            return before
        asked = background.begin(ask)
        self._asked[name] = asked
        return asked

    def drop_answered(self) -> None:
        """Remove the queries that have an answer."""
        self._asked = {name: asked for name, asked in self._asked.items() if asked.running}


def within(asked: BackgroundQuery[Observed[T]], deadline: float, who: str) -> Observed[T]:
    """Return the answer, or Unknown if there is none by `deadline` (time.monotonic).

    `who` is the name of the queried program or file, used in the reason.
    """
    try:
        return asked.result(max(0.0, deadline - time.monotonic()))
    except TimeoutError:
        return Unknown(f"{who} gave no answer in time")
    except RootlessError as error:
        return Unknown(error.message)
