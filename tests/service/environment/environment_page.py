"""Update of the table of variables in the documentation from the code.

Run it with `python -m tests.service.environment.environment_page`.
"""

from __future__ import annotations

import re
from pathlib import Path

from k3s_rootless.service.environment.variables import VARIABLES

PAGE = Path(__file__).parents[3] / "docs/reference/environment.md"
_TABLE = re.compile(r"\| variable \|.*?\n\n", re.DOTALL)


def table() -> str:
    """Return the table."""
    rows = ["| variable | purpose | values | default | first releases |", "|---|---|---|---|---|"]
    for one in VARIABLES.values():
        firsts = ", ".join(first.text for first in one.since.firsts) if one.since else "all"
        rows.append(
            f"| `{one.name}` | {one.purpose} | {one.takes} | {one.default or 'none'} | {firsts} |"
        )
    return "\n".join(rows) + "\n\n"


def renewed(page: str) -> str:
    """Return the page with the table from the code."""
    return _TABLE.sub(table(), page, count=1)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
