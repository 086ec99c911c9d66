"""`python -m tests.e2e.causes_page [lab] [vm] [ID…]`: produce causes, and write their page.

All causes are tried, or only those of the ids.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.e2e.causes import CASES, Case
from tests.e2e.conftest import delegating
from tests.e2e.mending import installed, tried
from tests.lab.driver import Lab
from tests.machine import Machine
from tests.vm.machine import Vm

PAGE = Path(__file__).parents[2] / "docs/explanation/causes.md"
_HEAD = """# Causes that `diagnose` was tested with

Each cause was created on a K3s that was ready, in a lab and in a virtual machine with pure cgroup
v2. The K3s is the tests' stand-in, on real systemd, rootlesskit and slirp4netns. `diagnose` ran
once and had to name the cause. Then its remedy was applied, K3s had to become ready, and `diagnose`
had to report no cause. *As printed* means that the commands of the remedy were pasted into a shell
unchanged, commands with `sudo` as root. If that is not possible, the column gives the reason, and
the cause was removed by hand. *Not run* means that the cause has changed since its last run on this
machine.

This page is generated from a run of `python -m tests.e2e.causes_page`; a test compares its list
with the causes in the code. [failures.md](../reference/failures.md) explains the ids. Controllers
that are not delegated have their own test in the virtual machine, with both remedies one after the
other.

| cause | what was done | first answer | fixed by | remedy | lab | VM |
|---|---|---|---|---|---|---|
"""
Told = dict[str, str]
NOT_RUN = "not run"
"""Cell of a machine where the cause is possible, but has not been tried since it changed."""


def main(words: list[str]) -> None:
    """Try causes on the named machines, or on both, and write the page.

    Results of other machines stay on the page.
    """
    names = [name for name in ("lab", "vm") if name in words] or ["lab", "vm"]
    ids = set(words) - set(names)
    before = {
        (one[0], one[1]): dict(zip(("title", "lab", "vm"), (one[2], *one[5:7]), strict=True))
        for one in rows()
    }
    told = [before.get((f"`{case.id}`", case.what), {}) for case in CASES]
    for name in names:
        if name == "lab":
            with Lab.up("causes") as lab:
                _try(lab, told, ids)
        else:
            with Vm.boot() as vm:
                _try(delegating(vm, set()), told, ids)
        PAGE.write_text(_HEAD + "".join(map(row, CASES, told)), "utf-8")


def rows() -> list[list[str]]:
    """Return the rows of the present page."""
    lines = PAGE.read_text("utf-8").splitlines() if PAGE.exists() else []
    return [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| `")
    ]


def _try(machine: Machine, titles: list[Told], ids: set[str]) -> None:
    with installed(machine) as tool:
        for number, case in enumerate(CASES):
            if machine.name not in case.machines or (ids and case.id not in ids):
                continue
            try:
                cause = tried(tool, case)
                titles[number] |= {"title": cause["title"], machine.name: "ready"}
            except (AssertionError, subprocess.TimeoutExpired) as error:
                titles[number][machine.name] = "failed"
                sys.stderr.write(f"{machine.name}: {case}: {str(error)[:2000]}\n")
            sys.stderr.write(f"{machine.name}: {case}: {titles[number][machine.name]}\n")


def row(case: Case, told: Told) -> str:
    """Return one row; cells of machines without a result are empty."""
    remedy = case.by_hand or "as printed"
    seen = [told.get(name) or NOT_RUN if name in case.machines else "" for name in ("lab", "vm")]
    cells = (f"`{case.id}`", case.what, told.get("title", ""), case.fixable_by, remedy, *seen)
    return f"| {' | '.join(cell.replace('|', ' ') for cell in cells)} |\n"


if __name__ == "__main__":
    main(sys.argv[1:])
