"""The HTML page of the archive: one file, without scripts and external resources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k3s_rootless.finding import FixableBy
from k3s_rootless.support.facts import Bar, Item, Line, LoggedStart, Missing, Tick, TimeLine
from k3s_rootless.templates import loader, rendering

MOST_LINES = 1500
MOST_FORWARDS = 40
_FIRST_LINES = 300
_ORDER = ("fail", "unknown", "warn", "info", "pass")
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
"""The possible seconds between two ticks of a time line."""
_MOST_TICKS = 7


@dataclass(frozen=True, slots=True)
class Content:
    """The content of the page, redacted.

    The documents by name, the starts (the newest first), the unit, and the manifest.
    """

    documents: Mapping[str, Mapping[str, Any]]
    starts: Sequence[LoggedStart]
    unit: str
    items: Sequence[Item]
    missing: Sequence[Missing]
    about: Mapping[str, Any]


def render(content: Content) -> str:
    """Return the page.

    If a document is incomplete, for example only an error, the page leaves out sections.
    """
    documents = content.documents
    newest = next(iter(content.starts), None)
    lines, gap = excerpt(newest.lines if newest is not None else ())
    return rendering.html(
        loader.read("templates", "page.html.j2"),
        about=content.about,
        labels={one.value: one.label for one in FixableBy},
        status=documents.get("status", {}),
        versions=documents.get("version", {}),
        host=documents.get("host", {}),
        env=documents.get("env", {}),
        config=documents.get("config", {}),
        diagnosis=documents.get("diagnosis", {}),
        phases=documents.get("phases", {}),
        ports=documents.get("ports", {}),
        checks=sorted(
            documents.get("check", {}).get("checks", ()),
            key=lambda one: _ORDER.index(one["verdict"]),
        ),
        check=documents.get("check", {}),
        time_line=time_line(documents.get("phases", {}).get("phases", ())),
        most_forwards=MOST_FORWARDS,
        newest=newest,
        lines=lines,
        gap=gap,
        unit=content.unit,
        items=content.items,
        missing=content.missing,
    )


def excerpt(lines: Sequence[Line]) -> tuple[tuple[Line, ...], int]:
    """Return the first and the last lines of a start, and the number of lines between them."""
    if len(lines) <= MOST_LINES:
        return tuple(lines), 0
    return (*lines[:_FIRST_LINES], *lines[_FIRST_LINES - MOST_LINES :]), len(lines) - MOST_LINES


def time_line(phases: Sequence[Mapping[str, Any]]) -> TimeLine | None:
    """Return the time line for the phases of a start; None if no phase was observed.

    `phases` is the result of `milestones.document`. The bar of a phase begins at the previous
    observed phase.
    """
    seconds = [float(one["seconds"]) for one in phases if one["seconds"] is not None]
    if not seconds:
        return None
    longest = max(*seconds, 0.1)
    bars = []
    before = 0.0
    for phase in phases:
        at = phase["seconds"]
        if at is None:
            bars.append(Bar(phase["phase"], note=f"not observed: {phase['reason']}"))
            continue
        start = _percent(min(before, at), longest)
        bars.append(
            Bar(
                phase["phase"],
                start=start,
                width=round(_percent(at, longest) - start, 2),
                after=_length(at),
                note=phase["source"],
                end=bool(phase.get("end")),
            )
        )
        before = at
    step = next((step for step in _STEPS if longest / step <= _MOST_TICKS), longest)
    ticks = tuple(
        Tick(_percent(number * step, longest), _length(number * step))
        for number in range(int(longest / step) + 1)
    )
    return TimeLine(tuple(bars), ticks, round(100 * step / longest, 2))


def _percent(seconds: float, longest: float) -> float:
    return round(100 * min(1.0, max(0.0, seconds) / longest), 2)


def _length(seconds: float) -> str:
    if abs(seconds) < 120:
        digits = 1 if seconds % 1 else 0
        return f"{seconds:.{digits}f} s"
    if abs(seconds) < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
