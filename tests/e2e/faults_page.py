"""`python -m tests.e2e.faults_page lab trixie bookworm`: inject faults, and write their page.

Results are kept for each machine in `.cache/faults`, so that machines can run one at a time. The
page includes all results. `--texts` injects nothing: it writes the head of the page and the texts
of the faults again, and keeps the measured cells. `--peers DIRECTORY` also runs checks of other
projects, see `tests.e2e.others`.
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
from tests.e2e.fault import Fault, Lacks, Unseen
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
shows:

- the check that reports the fault before the start, and what the check observed
- what K3s (the stand-in) does if it is started anyway
- how the fault is fixed: *script* is the script of `check --admin-script`, *commands of the user*
  are those that `check` prints, and *manual* is a step that a person must decide on

The machines are the lab, and virtual machines of Debian 13 with systemd 257 and Debian 12 with
systemd 252. *yes* means that all of this was observed there: after the fix the check passed and K3s
became ready, and if the script fixed the fault, its `--undo` brought the fault back. A dash means
that a machine cannot have the fault (the lab shares the kernel of its host).

This page is generated from runs of `python -m tests.e2e.faults_page`; a test compares the table
with the list of faults.

| fault | what is wrong | reported by | observed | effect | fixed by | lab | Debian 13 | Debian 12 |
|---|---|---|---|---|---|---|---|---|
"""


def main() -> None:
    """Run the requested faults, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.faults_page", description=__doc__)
    parser.add_argument(
        # argparse also compares an empty list with the choices.
        "machines",
        nargs="*",
        choices=[*MACHINES, []],
        metavar="MACHINE",
        help=f"where to inject faults now: {', '.join(MACHINES)}",
    )
    parser.add_argument("--peers", type=Path, help="a directory of other projects' checks")
    parser.add_argument(
        "--missing", action="store_true", help="inject only faults without a result"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        help="inject only this fault; results of other faults stay",
    )
    parser.add_argument(
        "--texts", action="store_true", help="write only the texts again, and keep measured cells"
    )
    options = parser.parse_args()
    if options.texts:
        PAGE.write_text(with_texts(PAGE.read_text("utf-8")), "utf-8")
        return
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
    lines = [f"\n{len(FAULTS)} faults; {len(shown)} of them have an effect on K3s here."]
    for name, where in MACHINES.items():
        results = found.get(name, {})
        ran = [fault for fault in FAULTS if name in fault.machines and fault.id in results]
        well = [fault for fault in ran if outcome(fault, name, results[fault.id]) == "yes"]
        healthy: list[str] = next((one["healthy"] for one in results.values()), [])
        wrong = f"only {', '.join(f'`{check}`' for check in healthy)}" if healthy else "nothing"
        if ran:
            lines.append(
                f"{where}: {len(well)} of {len(ran)} injected faults; without a fault, `check`"
                f" reported {wrong}."
            )
    return "\n".join(lines) + "\n"


def with_texts(page: str) -> str:
    """Return the page with the present head and texts of the faults; measured cells stay."""
    table, below, rest = page.partition("\n\n" + str(len(FAULTS)) + " faults")
    cells = {row[0].strip("`"): row for row in map(_cells, table.splitlines())}
    new = []
    for fault in FAULTS:
        row = cells[fault.id]
        row[1] = _cell(fault.what)
        if isinstance(fault.shows, Unseen):
            row[4] = _cell(f"not shown: {fault.shows.reason}")
        elif isinstance(fault.shows, Lacks):
            row[4] = _cell(fault.shows.effect)
        if fault.manual:
            row[5] = _cell(f"{injecting.MANUAL}: {fault.manual}")
        new.append(f"| {' | '.join(row)} |\n")
    return _HEAD + "".join(new) + below[1:] + rest


def _cells(row: str) -> list[str]:
    return re.split(r"(?<!\\) \| ", row[2:-2])


def row(fault: Fault, found: dict[str, dict[str, Any]]) -> str:
    """Return one row."""
    result = next((one for one in found.values() if "named" in one), {})
    named = result.get("named", {})
    cells = (
        f"`{fault.id}`",
        fault.what,
        f"`{fault.check}` ({named.get('verdict', fault.verdict)})",
        named.get("observed", ""),
        result.get("shown", ""),
        result.get("fix", ""),
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
    line = re.sub(
        r'(time="[^"]*" level=\w+ msg=|[EWI]\d{4} [\d:.]+ +\d+ \S+ )', "", " ".join(text.split())
    )
    if len(line) > _LONGEST:
        line = f"{line[:_LONGEST]} …"
    return line.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    main()
