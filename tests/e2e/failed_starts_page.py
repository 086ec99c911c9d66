"""`python -m tests.e2e.failed_starts_page`: make starts fail, and write their page.

The starts run in a lab and a virtual machine. Arguments `lab`, `vm` and ids of ways limit the run;
the results of other rows stay on the page. With `texts`, no start runs: only the texts change.
"""

from __future__ import annotations

import re
import statistics
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

from tests.e2e.conftest import delegating
from tests.e2e.fixing import installed
from tests.e2e.ways import Run, Way, run, ways
from tests.lab.driver import Lab
from tests.vm.machine import Vm

PAGE = Path(__file__).parents[2] / "docs/explanation/failed-starts.md"
_HEAD = """# Starts that fail

The tests make starts fail in these ways. For each, the table shows:

- the exit code of `up`
- the first cause that `up` prints (`cause` in its JSON; see
  [failures.md](../reference/failures.md))
- the phase that `up` was waiting for
- the delay: the time from systemd's message about the exit to the report of `up`, on the clock of
  the same machine. If the cell is empty, K3s did not exit: `up` refused the start, or the start
  continues.

*Not run* means that the case was changed after its last run on this machine.

This page is generated from a run of `python -m tests.e2e.failed_starts_page`; a test compares its
lists with the ways in the code. CI runs all ways in the lab and some in the virtual machine, and
asserts that the median in the lab stays below 250 ms.
"""
_SECTIONS = {
    "lab": (
        """## In the lab

A real systemd in private namespaces. The cgroup controllers are those of the host, which may have
them on cgroup v1. The stand-in for K3s prints K3s's own message about a missing controller.
"""
    ),
    "vm": (
        """## In a virtual machine

Debian 13 with pure cgroup v2, so delegation is real. Its processor was emulated, on a machine
without other load: delays are about 20 times as long as in the lab.
"""
    ),
}
_TABLE = """
| id | fault | exit code | cause | phase | delay |
|---|---|---|---|---|---|
"""


def main(args: list[str]) -> None:
    """Run the ways of these ids on these machines (by default, all), and write the page."""
    if args == ["texts"]:
        names = []
    else:
        names = [name for name in _SECTIONS if name in args] or list(_SECTIONS)
    ids = set(args) - set(names)
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
    text = "".join(_with_text(way, rows.get(way.id)) for way in ways(name))
    delays = [int(one) for one in re.findall(r"\| (\d+) ms \|$", text, re.MULTILINE)]
    median = (
        f"\nMedian {statistics.median(delays):.0f} ms, longest {max(delays)} ms, of"
        f" {len(delays)} exits.\n"
        if delays
        else ""
    )
    return _SECTIONS[name] + _TABLE + text + median


def _with_text(way: Way, line: str | None) -> str:
    """Return a row with the current text of its way and the results that it had.

    Without a row, the way was changed after its last run on this machine.
    """
    results = line.split("|", 3)[3] if line else " not run |  |  |  |\n"
    return f"| `{way.id}` | {_text(way)} |{results}"


def _text(way: Way) -> str:
    return way.what.replace("|", " ")


def row(way: Way, found: Run) -> str:
    """Return one row."""
    error = found.error
    delay = f"{found.delay * 1000:.0f} ms" if found.delay is not None else ""
    cause = f"`{error['cause']}`" if error.get("cause") else ""
    waits = f"`{error['phase']}`" if error.get("phase") else ""
    return f"| `{way.id}` | {_text(way)} | {found.code} | {cause} | {waits} | {delay} |\n"


if __name__ == "__main__":
    main(sys.argv[1:])
