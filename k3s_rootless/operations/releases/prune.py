"""Remove releases and extractions that are not needed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.binaries import extractions, installed, pruning, store
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.operations import data_directory
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.context import WAITING
from k3s_rootless.rootlesskit import state as rootlesskit

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from k3s_rootless.binaries.pruning import Item, Pruning
    from k3s_rootless.operations.context import Context

_STOPPED = frozenset({"inactive", "failed"})


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, or would be removed if `dry_run`, and what was kept.

    `problems` are the reasons why something could not be removed.
    """

    removed: tuple[Item, ...]
    kept: tuple[Item, ...]
    dry_run: bool
    problems: tuple[str, ...] = ()

    @property
    def freed(self) -> int:
        """The bytes that were freed."""
        return sum(one.size for one in self.removed)


def prune(context: Context, *, dry_run: bool) -> Pruned:
    """Remove what is not needed. Raises RootlessError."""
    context.require_ordinary_user()
    data = data_directory.of_next_start(context)
    if dry_run:
        found = _judged(context, data, _busy(context, data))
        return Pruned(found.removed, found.kept, dry_run=True)
    unfinished.require_none(context)
    with (
        store.changing(context.paths.own, lambda: context.notice(WAITING)),
        store.unpacking(data) as alone,
    ):
        busy = _busy(context, data)
        if not alone:
            busy = busy or "K3s may be unpacking itself now"
        return _performed(context, _judged(context, data, busy))


def _judged(context: Context, data: Path, busy: str) -> Pruning:
    own = context.paths.own
    try:
        return pruning.judge(
            installed.releases(own), extractions.read(data), installed.leftovers(own), busy
        )
    except OSError as error:
        raise RootlessError(f"cannot look for old releases: {atomic.reason(error)}") from error


def _busy(context: Context, data: Path) -> str:
    """Return why K3s may be running; empty if it is stopped."""
    if rootlesskit.is_held(data / layout.ROOTLESS):
        return "K3s is running"
    try:
        state = context.k3s_unit()
    except RootlessError as error:
        return f"it is not known whether K3s is running: {error.message}"
    return "" if state.active_state in _STOPPED else "K3s is running"


def _performed(context: Context, plan: Pruning) -> Pruned:
    """Remove everything in a plan; one failure does not stop the rest."""
    own = context.paths.own
    steps: list[tuple[Item, Callable[[], None]]] = [
        *((item, partial(store.remove_leftover, one)) for one, item in plan.leftovers),
        *((item, partial(store.remove_release, own, one.version)) for one, item in plan.releases),
        *((item, partial(store.remove_extraction, one)) for one, item in plan.extractions),
    ]
    removed = []
    problems = []
    for item, step in steps:
        try:
            step()
        except RootlessError as error:
            problems.append(error.message)
        else:
            removed.append(item)
    return Pruned(tuple(removed), plan.kept, dry_run=False, problems=tuple(problems))
