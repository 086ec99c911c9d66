"""The style of text: the colours of verdicts, and when colour is used.

Colour never carries information that the words lack.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from rich.console import Console

STYLES = {
    **dict.fromkeys(("pass", "listening", "forwarded", "free"), "green"),
    **dict.fromkeys(("warn", "pending", "orphaned", "not forwarded"), "yellow"),
    **dict.fromkeys(("fail", "port in use", "privileged port", "port conflict"), "red"),
    **dict.fromkeys(("stalled", "unreachable"), "red"),
    "unknown": "magenta",
    "info": "cyan",
}


def styled(text: str, **style: Any) -> str:  # noqa: ANN401 (what click.style takes)
    """Style text for click, which removes colour for pipes; plain if colour is turned off."""
    return click.style(text, **style) if _wants_colour() else text


def is_coloured(stream: TextIO) -> bool:
    """Return whether text for this stream can have colours."""
    return stream.isatty() and _wants_colour()


def can_redraw(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can be redrawn."""
    return stream.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def console(width: int | None = None, *, stderr: bool = False) -> Console:
    """Return rich's console, which prints text unchanged.

    `width` defaults to the width of its terminal. rich itself respects NO_COLOR, TERM=dumb and
    pipes.
    """
    # Imported here because rich is loaded only where a table, a tree or a start is drawn.
    from rich.console import Console

    return Console(width=width, stderr=stderr, highlight=False, emoji=False, markup=False)


def _wants_colour() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
