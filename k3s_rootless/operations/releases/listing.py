"""List the releases on this host, and what channels offer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.binaries import installed
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Answers, Limits, Passage, Release, Source
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Listing:
    """The releases on this host, and the answers of a channel server: of now, or the last ones.

    `problem` is why the server could not be queried now. `source` are the servers of `release get`;
    None if they were not needed. `history` are the upgrades and rollbacks, the oldest first; None
    if they were not requested.
    """

    releases: tuple[Release, ...]
    answers: Answers | None
    remote: bool = False
    problem: RootlessError | None = None
    source: Source | None = None
    history: tuple[Passage, ...] | None = None


def with_history(context: Context, found: Listing) -> Listing:
    """Return the list with the upgrades and rollbacks of this host."""
    return replace(found, history=installed.history(context.paths.own))


def listing(context: Context, *, remote: bool, limits: Limits | None = None) -> Listing:
    """List releases; query the channel server only with `remote`. Raises RootlessError."""
    try:
        releases = installed.releases(context.paths.own)
    except OSError as error:
        raise RootlessError(f"cannot list {context.paths.own}: {atomic.reason(error)}") from error
    if not remote:
        return Listing(releases, installed.answers(context.paths.own))
    # Imported here: loading takes 60 ms, and only a query of the server needs it.
    from k3s_rootless.operations.releases import channel_list

    try:
        source, answers = channel_list.query(context, limits)
    except RootlessError as error:
        return Listing(releases, installed.answers(context.paths.own), problem=error)
    return Listing(releases, answers, remote=True, source=source)
