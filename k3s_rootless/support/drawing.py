"""Where things stand in the pictures of the page; the template only draws them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from k3s_rootless.support.facts import Arrow, Bar, ForwardPicture, Tick, TimeLine

WIDTH = 960
_LEFT = 210
_RIGHT = 640
_ROW = 30
_TOP = 34
_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)
_MOST_TICKS = 7
_NOTE = 34
_MOST_FORWARDS = 40
_FORWARD_ROW = 46


def time_line(phases: Sequence[Mapping[str, Any]]) -> TimeLine | None:
    """Draw the phases of a start, as `milestones.document` gives them; None where nothing was seen.

    A bar reaches from what was seen before it to what it is about.
    """
    seconds = [float(one["seconds"]) for one in phases if one["seconds"] is not None]
    if not seconds:
        return None
    longest = max(*seconds, 0.1)
    bars, before = [], 0.0
    for row, phase in enumerate(phases):
        y = _TOP + row * _ROW
        at = phase["seconds"]
        if at is None:
            bars.append(Bar(y, phase["phase"], _LEFT, None, "", f"not seen: {phase['reason']}"))
            continue
        start, end = _x(max(0.0, min(before, at)), longest), _x(max(0.0, at), longest)
        bars.append(
            Bar(
                y,
                phase["phase"],
                start,
                max(3.0, end - start),
                _length(at),
                _source(phase["source"]),
                bool(phase.get("end")),
            )
        )
        before = at
    return TimeLine(WIDTH, _TOP + len(bars) * _ROW + 6, tuple(bars), _ticks(longest))


def forwards(ports: Sequence[Mapping[str, Any]]) -> ForwardPicture | None:
    """Draw the rows of `ports`: a port of the host, the port of the child, what it reaches; None
    where there are none.
    """
    if not ports:
        return None
    shown = ports[:_MOST_FORWARDS]
    arrows = tuple(_arrow(one, 40 + row * _FORWARD_ROW) for row, one in enumerate(shown))
    return ForwardPicture(40 + len(shown) * _FORWARD_ROW, arrows, len(ports) - len(shown))


def _arrow(one: Mapping[str, Any], y: int) -> Arrow:
    address = one.get("parent_ip") or "all addresses"
    offset = one.get("offset") or 0
    return Arrow(
        y=y,
        outside=f"{one.get('parent_port')}/{one.get('protocol')} · {address}",
        inside=str(one.get("child_port")),
        target=_cut(one.get("target") or "unknown", 38),
        verdict=str(one.get("verdict")),
        mark=str(one.get("status") or one.get("verdict")),
        offset=f"+{offset}" if offset else "",
    )


def _x(seconds: float, longest: float) -> float:
    return round(_LEFT + (_RIGHT - _LEFT) * min(1.0, seconds / longest), 1)


def _ticks(longest: float) -> tuple[Tick, ...]:
    step = next((step for step in _STEPS if longest / step <= _MOST_TICKS), longest)
    return tuple(
        Tick(_x(number * step, longest), _length(number * step))
        for number in range(int(longest / step) + 1)
    )


def _length(seconds: float) -> str:
    if abs(seconds) < 120:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if abs(seconds) < 7200 else f"{seconds / 3600:.1f} h"


def _source(source: str) -> str:
    # Of a path, its end tells more.
    return source if len(source) <= _NOTE else f"…{source[1 - _NOTE :]}"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
