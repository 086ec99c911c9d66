"""`python -m tests.life.failed_starts_page` fails a start in each way, in a lab, and writes the page of failed starts."""

from __future__ import annotations

import statistics
from pathlib import Path

from tests.lab.driver import Lab
from tests.lab.fixtures import fresh
from tests.life.causes import order
from tests.life.conftest import Tool
from tests.life.ways import WAYS, Run, Way, run

PAGE = Path(__file__).parents[2] / "docs/explanation/failed-starts.md"
_HEAD = """# Starts that fail

Each way to fail a start that the tests bring about for real, in a lab: with what `up` ends, the first cause that it names (the
`cause` of its JSON; see [failures.md](../reference/failures.md)), what it was waiting for, and how long after systemd's own
word, by the clock of the same machine, it told of the death. Where that is empty, there was no death: the start was refused
before it began, or goes on.

Made from a run by `python -m tests.life.failed_starts_page`; a test holds the list to the ways that there are. The times are of
one run on two shared cores; CI asserts that their median stays below 250 ms.

| way | what is broken | exit code | cause | waiting for | told after |
|---|---|---|---|---|---|
"""


def main() -> None:
    """Run all ways, and write the page."""
    with Lab.up("ways") as lab:
        fresh(lab)
        lab.root("sysctl", "-w", "net.ipv4.ip_forward=1").check_returncode()
        tool = Tool(lab)
        order()(tool)
        tool.up().check_returncode()
        found = [(way, run(tool, way)) for way in WAYS]
    late = [one.late for _, one in found if one.late is not None]
    median = f"\nMedian {statistics.median(late) * 1000:.0f} ms, longest {max(late) * 1000:.0f} ms, of {len(late)} deaths.\n"
    PAGE.write_text(_HEAD + "".join(row(way, one) for way, one in found) + median, "utf-8")


def row(way: Way, found: Run) -> str:
    """Write one row."""
    error = found.error
    late = f"{found.late * 1000:.0f} ms" if found.late is not None else ""
    cause = f"`{error['cause']}`" if error.get("cause") else ""
    waits = f"`{error['phase']}`" if error.get("phase") else ""
    return f"| `{way.id}` | {way.what.replace('|', ' ')} | {found.code} | {cause} | {waits} | {late} |\n"


if __name__ == "__main__":
    main()
