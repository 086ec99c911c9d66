"""`python -m tests.e2e.causes_page [lab] [vm] [ID…]`: create causes and write their page.

Without ids, all causes are created. With `texts`, none is: only the texts of the page change.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.causes import CASES, Case
from tests.e2e.conftest import delegating
from tests.e2e.fixing import installed, tried
from tests.lab.driver import Lab
from tests.machine import Machine
from tests.vm.machine import Vm

PAGE = Path(__file__).parents[2] / "docs/explanation/causes.md"
_HEAD = """# Causes that `diagnose` was tested with

The tests create each fault in this table on a K3s that was ready, and run `diagnose` once. It must
report the cause. Then the tests apply the fix, K3s must become ready, and `diagnose` must report no
problem. The tests run in a lab and in a virtual machine with pure cgroup v2. The K3s is the
stand-in of the tests, on real systemd, rootlesskit and slirp4netns.

- *title*: how `diagnose` named the cause.
- *fix*: *as printed* means that the commands were pasted into a shell unchanged, commands with
  `sudo` as root. Otherwise the column gives the reason why this is not possible, and the tests
  removed the fault.
- *lab*, *VM*: *ready* means that all steps succeeded. *Not run* means that the case was changed
  after its last run on this machine. An empty cell means that the fault is not possible there.

This page is generated from a run of `python -m tests.e2e.causes_page`; a test compares its list
with the causes in the code. [failures.md](../reference/failures.md) explains the ids. Controllers
that are not delegated have their own test in the virtual machine, with both fixes one after the
other.

| cause | fault | title | fixable by | fix | lab | VM |
|---|---|---|---|---|---|---|
"""
Results = dict[str, str]
NOT_RUN = "not run"
"""Cell of a machine where the fault is possible, but was changed after its last run."""


def main(args: list[str]) -> None:
    """Create causes on the named machines, or on both, and write the page.

    Results of other machines stay on the page.
    """
    if args == ["texts"]:
        names = []
    else:
        names = [name for name in ("lab", "vm") if name in args] or ["lab", "vm"]
    ids = set(args) - set(names)
    before = {
        (one[0], one[1]): dict(zip(("title", "lab", "vm"), (one[2], *one[5:7]), strict=True))
        for one in rows()
    }
    results = [before.get((f"`{case.id}`", case.what), {}) for case in CASES]
    _write(results)
    for name in names:
        if name == "lab":
            with Lab.up("causes") as lab:
                _try(lab, results, ids)
        else:
            with Vm.boot() as vm:
                _try(delegating(vm, set()), results, ids)
        _write(results)


def _write(results: list[Results]) -> None:
    PAGE.write_text(_HEAD + "".join(map(row, CASES, results)), "utf-8")


def rows() -> list[list[str]]:
    """Return the rows of the present page."""
    lines = PAGE.read_text("utf-8").splitlines() if PAGE.exists() else []
    return [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")
    ]


def _try(machine: Machine, results: list[Results], ids: set[str]) -> None:
    with installed(machine) as tool:
        for number, case in enumerate(CASES):
            if machine.name not in case.machines or (ids and case.id not in ids):
                continue
            try:
                cause = tried(tool, case)
                results[number] |= {"title": cause["title"], machine.name: "ready"}
            except (AssertionError, subprocess.TimeoutExpired) as error:
                results[number][machine.name] = "failed"
                sys.stderr.write(f"{machine.name}: {case}: {str(error)[:2000]}\n")
            sys.stderr.write(f"{machine.name}: {case}: {results[number][machine.name]}\n")


def row(case: Case, results: Results) -> str:
    """Return one row; cells of machines without a result are empty."""
    fix = case.manual_reason or "as printed"
    cells_of_machines = [
        results.get(name) or NOT_RUN if name in case.machines else "" for name in ("lab", "vm")
    ]
    cells = (
        f"`{case.id}`",
        case.what,
        results.get("title", ""),
        case.fixable_by,
        fix,
        *cells_of_machines,
    )
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |\n"


if __name__ == "__main__":
    main(sys.argv[1:])
