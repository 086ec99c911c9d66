"""How text looks: the colours of words that carry a verdict, and what is safe to show.

Colour only adds.
"""

from __future__ import annotations

import os
from typing import Any

import click

STYLES = {
    **dict.fromkeys(("pass", "answering", "forwarded", "free"), "green"),
    **dict.fromkeys(("warn", "pending", "stray", "not forwarded"), "yellow"),
    **dict.fromkeys(("fail", "blocked", "collision", "stalled", "silent"), "red"),
    "unknown": "magenta",
    "info": "cyan",
}


def styled(text: str, **style: Any) -> str:  # noqa: ANN401 (what click.style takes)
    """Style text for click; plain with NO_COLOR and on a terminal that knows no colours."""
    # click takes colour away for pipes, and knows nothing of these two.
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return text if plain else click.style(text, **style)
