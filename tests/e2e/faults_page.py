"""`python -m tests.e2e.faults_page lab trixie bookworm`: inject faults, and write their page.

Results are kept for each machine in `.cache/faults`, so that machines can run one at a time. The
page includes all results. `--peers DIRECTORY` also runs checks of other projects, see
`tests.e2e.others`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e import injecting
from tests.e2e.causes import nothing
from tests.e2e.conftest import DELEGATING, Tool, delegating
from tests.e2e.fault import Fault, Unseen
from tests.e2e.faults import FAULTS
from tests.e2e.fixing import installed
from tests.e2e.others import Others
from tests.lab.driver import Lab
from tests.vm.machine import Vm

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/explanation/faults.md"
KEPT = ROOT / ".cache/faults"
_LONGEST = 180
MACHINES = {"lab": "lab", "trixie": "Debian 13", "bookworm": "Debian 12"}
_HEAD = """# Faults of hosts

The tests create each of these faults, one at a time, on a host without other faults. The table
shows the check that names the fault before the start, and what it observed; what K3s (the stand-in)
does if it is started anyway; and how to fix it: with the script of `check --admin-script`, with
commands for the user, or in a way that no program should decide. The machines are the lab, and
virtual machines of Debian 13 with systemd 257 and Debian 12 with systemd 252. *yes* means that all
of this was seen there: after the fix the check passed and K3s became ready, and if the script fixed
the fault, its `--undo` restored it. A dash means that a machine cannot have the fault (the lab
shares the kernel of its host).

This page is generated from runs of `python -m tests.e2e.faults_page`; a test compares the table
with the list of faults.

| fault | what is wrong | named by | observed | K3s then | fixed by | lab | Debian 13 | Debian 12 |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Run the requested faults, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.faults_page", description=__doc__)
    parser.add_argument(
        "machines", nargs="*", choices=[*MACHINES], help="where to inject faults now"
    )
    parser.add_argument("--peers", type=Path, help="a directory of other projects' checks")
    parser.add_argument(
        "--missing", action="store_true", help="only those of which nothing is kept yet"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="inject this fault alone; what was found of others stays",
    )
    options = parser.parse_args()
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in options.machines:
        run(name, options.peers, options.only, missing=options.missing)
    found = {
        name: json.loads(path.read_text())
        for name in MACHINES
        if (path := KEPT / f"{name}.json").exists()
    }
    PAGE.write_text(page(found, options.peers), "utf-8")


def run(name: str, peers: Path | None, only: list[str], *, missing: bool = False) -> None:
    """Inject all faults of a machine, and store each result immediately."""
    place = KEPT / f"{name}.json"
    kept: dict[str, Any] = json.loads(place.read_text()) if place.exists() else {}
    with _machine(name) as tool:
        others = Others.of(tool, peers)
        known = frozenset(
            check for check, one in injecting.findings(tool).items() if injecting.bad(one)
        )
        # Start with the faults that only this machine can have, in case the run is interrupted.
        for fault in sorted(FAULTS, key=lambda one: len(one.machines)):
            done = missing and "named" in kept.get(fault.id, {})
            if done or name not in fault.machines or (only and fault.id not in only):
                continue
            begun = time.monotonic()
            try:
                kept[fault.id] = injecting.inject(tool, fault, known, others=others).document()
            except Exception as error:  # noqa: BLE001 (the run continues; the page shows the error)
                kept[fault.id] = {"error": f"{type(error).__name__}: {error}"}
            outcome = kept[fault.id].get("error", "done")
            sys.stderr.write(
                f"{name}: {fault.id}: {time.monotonic() - begun:.0f} s: {outcome[:600]}\n"
            )
            kept[fault.id]["healthy"] = sorted(known)
            place.write_text(json.dumps(kept, indent=1))
            if fault.before is not nothing and isinstance(tool.machine, Vm):
                delegating(tool.machine, {DELEGATING})


@contextmanager
def _machine(name: str) -> Iterator[Tool]:
    with (
        Lab.up("faults") if name == "lab" else Vm.boot(release=name) as machine,
        installed(delegating(machine, set()) if isinstance(machine, Vm) else machine) as tool,
    ):
        injecting.stop(tool)
        if isinstance(machine, Vm):
            machine.save(DELEGATING)
        yield tool


def page(found: dict[str, dict[str, Any]], peers: Path | None = None) -> str:
    """Return the page of the results, by machines and faults."""
    rows = [
        row(fault, {name: results.get(fault.id, {}) for name, results in found.items()})
        for fault in FAULTS
    ]
    return _HEAD + "".join(rows) + foot(found) + Others.page(found, peers)


def foot(found: dict[str, dict[str, Any]]) -> str:
    """Return the counts of results."""
    shown = [fault for fault in FAULTS if not isinstance(fault.shows, Unseen)]
    told = [f"\n{len(FAULTS)} faults, {len(shown)} of which K3s shows."]
    for name, where in MACHINES.items():
        results = found.get(name, {})
        ran = [fault for fault in FAULTS if name in fault.machines and fault.id in results]
        well = [fault for fault in ran if outcome(fault, name, results[fault.id]) == "yes"]
        healthy: list[str] = next((one["healthy"] for one in results.values()), [])
        wrong = (
            f"nothing but {', '.join(f'`{check}`' for check in healthy)}" if healthy else "nothing"
        )
        if ran:
            told.append(
                f"{where}: {len(well)} of {len(ran)} that were injected; without a fault `check`"
                f" named {wrong}."
            )
    return "\n".join(told) + "\n"


def row(fault: Fault, found: dict[str, dict[str, Any]]) -> str:
    """Return one row."""
    told = next((one for one in found.values() if "named" in one), {})
    named = told.get("named", {})
    cells = (
        f"`{fault.id}`",
        fault.what,
        f"`{fault.check}` ({named.get('verdict', fault.verdict)})",
        named.get("observed", ""),
        told.get("shown", ""),
        told.get("mended", ""),
        *(outcome(fault, name, found.get(name, {})) for name in MACHINES),
    )
    return f"| {' | '.join(_cell(cell) for cell in cells)} |\n"


def outcome(fault: Fault, machine: str, one: dict[str, Any]) -> str:
    """Return in one or two words whether a fault had the expected result on a machine."""
    if machine not in fault.machines:
        return "-"
    if "named" not in one:
        return f"**no**: {one['error'][:80]}" if "error" in one else "not run"
    wrong = injecting.wrong(fault, one)
    return f"**no**: {', '.join(wrong)}" if wrong else "yes"


def _cell(text: str) -> str:
    words = re.sub(
        r'(time="[^"]*" level=\w+ msg=|[EWI]\d{4} [\d:.]+ +\d+ \S+ )', "", " ".join(text.split())
    )
    told = words if len(words) <= _LONGEST else f"{words[:_LONGEST]} …"
    return told.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
