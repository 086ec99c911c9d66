"""`python -m tests.e2e.failed_starts_page`: fail starts in each way, and write their page.

The starts run in a lab and a virtual machine. Arguments `lab`, `vm` and ids of ways limit the run;
other rows stay on the page.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.e2e.conftest import delegating
from tests.e2e.mending import installed
from tests.e2e.ways import Run, Way, run, ways
from tests.lab.driver import Lab
from tests.vm.machine import Vm

PAGE = Path(__file__).parents[2] / "docs/explanation/failed-starts.md"
_HEAD = """# Starts that fail

Each way to fail a start that the tests bring about for real: with what `up` ends, the first cause
that it names (the `cause` of its JSON; see [failures.md](../reference/failures.md)), what it was
waiting for, and how long after systemd's own word, by the clock of the same machine, it told of the
death. Where that is empty, there was no death: the start was refused before it began, or goes on.
*Not run*: the expected end has changed since this way was last run on this machine.

Made from a run by `python -m tests.e2e.failed_starts_page`; a test holds the lists to the ways
that there are. CI brings about all of the lab's and some of the virtual machine's, and asserts that
the median of the lab stays below 250 ms.
"""
_SECTIONS = {
    "lab": (
        """## In the lab

A real systemd in private namespaces. Cgroup controllers are those of its host, which may keep them
on cgroup v1: the stand-in for K3s says K3s's words of a controller that it lacks.
"""
    ),
    "vm": (
        """## In a virtual machine

Debian 13 with pure cgroup v2: what K3s lacks of delegation is really lacking. Its processor was
emulated, on a machine that did nothing else: what takes `up` 7 ms in the lab takes it 20 times as
long here.
"""
    ),
}
_TABLE = """
| way | what is broken | exit code | cause | waiting for | told after |
|---|---|---|---|---|---|
"""


def main(words: list[str]) -> None:
    """Run the ways of these ids on these machines (by default, all), and write the page."""
    names = [name for name in _SECTIONS if name in words] or list(_SECTIONS)
    ids = set(words) - set(names)
    new = {name: found(name, ids) for name in names}
    text = PAGE.read_text("utf-8")
    rows = {name: table(text, name) | new.get(name, {}) for name in _SECTIONS}
    PAGE.write_text("\n".join((_HEAD, *(section(name, rows[name]) for name in _SECTIONS))), "utf-8")


def table(text: str, name: str) -> dict[str, str]:
    """Return the rows of a machine on the page, by the ids of their ways."""
    title = _SECTIONS[name].partition("\n")[0]
    found = re.search(rf"^{re.escape(title)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return {
        one["id"]: one[0]
        for one in re.finditer(
            r"^\| `(?P<id>[^`]+)` \|.*\n", found[0] if found else "", re.MULTILINE
        )
    }


def found(name: str, ids: Collection[str]) -> dict[str, str]:
    """Run each of these ways, or all, and return their rows."""
    rows: dict[str, str] = {}
    with (
        Lab.up("ways") if name == "lab" else Vm.boot() as machine,
        installed(delegating(machine, set()) if isinstance(machine, Vm) else machine) as tool,
    ):
        for way in ways(name):
            if not ids or way.id in ids:
                one = run(tool, way)
                rows[way.id] = row(way, one)
                unlike = (
                    ""
                    if one.code == way.code
                    else f"  it should end with {way.code}: {one.error['message']}\n"
                )
                sys.stderr.write(rows[way.id] + unlike)
    return rows


def section(name: str, rows: Mapping[str, str]) -> str:
    """Return the section of a machine, with the rows in the order of its ways."""
    text = "".join(rows.get(way.id) or not_run(way) for way in ways(name))
    late = [int(one) for one in re.findall(r"\| (\d+) ms \|$", text, re.MULTILINE)]
    median = (
        f"\nMedian {statistics.median(late):.0f} ms, longest {max(late)} ms, of {len(late)}"
        " deaths.\n"
        if late
        else ""
    )
    return _SECTIONS[name] + _TABLE + text + median


def not_run(way: Way) -> str:
    """Return the row of a way that changed and has not run on this machine since."""
    return f"| `{way.id}` | {way.what.replace('|', ' ')} | not run |  |  |  |\n"


def row(way: Way, found: Run) -> str:
    """Return one row."""
    error = found.error
    late = f"{found.late * 1000:.0f} ms" if found.late is not None else ""
    cause = f"`{error['cause']}`" if error.get("cause") else ""
    waits = f"`{error['phase']}`" if error.get("phase") else ""
    return (
        f"| `{way.id}` | {way.what.replace('|', ' ')} | {found.code} | {cause} | {waits} |"
        f" {late} |\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
