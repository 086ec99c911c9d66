"""The page that a person reads: one file, no script, nothing fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k3s_rootless.support import drawing
from k3s_rootless.support.facts import Begun, Item, Line, Missing
from k3s_rootless.templates import loader, rendering

MOST_LINES = 1500
_FIRST_LINES = 300
_ORDER = ("fail", "unknown", "warn", "info", "pass")


@dataclass(frozen=True, slots=True)
class Content:
    """What the page tells, all of it redacted: the documents by their names, the starts, the newest
    first, and the manifest.
    """

    documents: Mapping[str, Mapping[str, Any]]
    starts: Sequence[Begun]
    unit: str
    items: Sequence[Item]
    missing: Sequence[Missing]
    about: Mapping[str, Any]


def render(content: Content) -> str:
    """Return the page; a document that holds less than usual, such as an error alone, leaves
    sections out.
    """
    documents = content.documents
    newest = content.starts[0] if content.starts else None
    lines, gap = excerpt(newest.lines if newest else ())
    return rendering.html(
        loader.read("templates", "page.html.j2"),
        about=content.about,
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
        time_line=drawing.time_line(documents.get("phases", {}).get("phases", ())),
        forwards=drawing.forwards(documents.get("ports", {}).get("ports", ())),
        newest=newest,
        lines=lines,
        gap=gap,
        unit=content.unit,
        items=content.items,
        missing=content.missing,
    )


def excerpt(lines: Sequence[Line]) -> tuple[tuple[Line, ...], int]:
    """Give the first and the last lines of a start, and how many are left out after the first
    ones.
    """
    if len(lines) <= MOST_LINES:
        return tuple(lines), 0
    return (*lines[:_FIRST_LINES], *lines[_FIRST_LINES - MOST_LINES :]), len(lines) - MOST_LINES
