"""What can be removed without harm, and why the rest must stay.

K3s unpacks itself to `data/<SHA-256>` and removes none of these directories. While K3s runs, its
containers use programs of one of them. After it has stopped, it unpacks itself again if its
directory is missing, so that removing one costs time only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.binaries.facts import Extraction, Leftover, Release

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Item:
    """A file or directory, its size, and the reason for its removal or for keeping it."""

    path: Path
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class Pruning:
    """What is removed and what is kept."""

    releases: tuple[tuple[Release, Item], ...] = ()
    extractions: tuple[tuple[Extraction, Item], ...] = ()
    leftovers: tuple[tuple[Leftover, Item], ...] = ()
    kept: tuple[Item, ...] = ()

    @property
    def removed(self) -> tuple[Item, ...]:
        """Everything that is removed, in the order of removal."""
        return tuple(item for _, item in (*self.leftovers, *self.releases, *self.extractions))


def judge(
    releases: Sequence[Release],
    extractions: Sequence[Extraction],
    leftovers: Sequence[Leftover],
    busy: str,
) -> Pruning:
    """Return what can be removed; `busy` is why K3s may be running, empty if it is stopped."""
    reasons = {one.version: _kept_release(one) for one in releases}
    spared = {one.path: _kept_extraction(one, busy) for one in extractions}
    kept = [_item(one, reasons[one.version]) for one in releases if reasons[one.version]]
    kept += [Item(one.path, one.size, spared[one.path]) for one in extractions if spared[one.path]]
    return Pruning(
        releases=tuple(
            (one, _item(one, "not in use")) for one in releases if not reasons[one.version]
        ),
        extractions=tuple(
            (one, Item(one.path, one.size, _removal(one)))
            for one in extractions
            if not spared[one.path]
        ),
        leftovers=tuple(
            (one, Item(one.path, one.size, "left by an interrupted download")) for one in leftovers
        ),
        kept=tuple(kept),
    )


def _item(release: Release, reason: str) -> Item:
    return Item(release.path.parent, release.size, reason)


def _kept_release(release: Release) -> str:
    if release.in_use:
        return "in use"
    return "the release before the one in use" if release.previous else ""


def _kept_extraction(extraction: Extraction, busy: str) -> str:
    if extraction.running:
        return "a process runs a program in it"
    if busy:
        return busy
    if extraction.linked and not extraction.unfinished:
        return "the release that K3s unpacked last, or the one before"
    return ""


def _removal(extraction: Extraction) -> str:
    if extraction.unfinished:
        return "K3s did not finish unpacking it"
    return "unpacked by another release of K3s"
