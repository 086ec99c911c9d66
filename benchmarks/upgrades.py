"""`python -m benchmarks.upgrades`: downtime of an upgrade, and that of a plain stop and start.

Boots a lab (root needed) with two releases of the stand-in. In turn it upgrades from one to the
other, and does by hand what cannot be avoided: `systemctl --user stop` and `start`, and a Python
loop that queries the node without a pause until it is ready. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

if TYPE_CHECKING:
    from tests.e2e.conftest import Tool

OLD, NEW = "v1.34.9+k3s1", "v1.35.7+k3s1"
BOUND = 2.0
"""The seconds that an upgrade may take longer than a plain stop and start."""


def main() -> None:
    """Measure, and print the medians and their difference."""
    from tests.e2e.conftest import Tool
    from tests.e2e.upgrading import QUICK, bring
    from tests.lab.driver import Lab

    parser = argparse.ArgumentParser(prog="python -m benchmarks.upgrades", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    options = parser.parse_args()
    plain: list[float] = []
    upgrades: list[float] = []
    with Lab.up("upgrades") as lab:
        tool = Tool(lab)
        for release in (OLD, NEW):
            bring(tool, release, QUICK)
        tool("release", "use", OLD).check_returncode()
        tool.up().check_returncode()
        for _ in range(options.rounds):
            plain.append(_stop_and_start(tool))
            done = tool("upgrade", NEW, "--yes", "--json")
            done.check_returncode()
            upgrades.append(json.loads(done.stdout)["downtime"])
            tool("rollback", "--yes").check_returncode()
    by_hand, ours = statistics.median(plain), statistics.median(upgrades)
    print(json.dumps({"stop and start": round(by_hand, 2), "upgrade": round(ours, 2)}))
    print(f"an upgrade takes {ours - by_hand:.2f} s longer; bound: {BOUND} s")


def _stop_and_start(tool: Tool) -> float:
    from benchmarks.starts import FLOOR, UNIT

    begun = time.perf_counter()
    tool.machine.user("systemctl", "--user", "stop", UNIT).check_returncode()
    stopped = time.perf_counter() - begun
    started = tool.machine.user("/opt/k3s-standin/bin/python", "-c", FLOOR)
    started.check_returncode()
    return stopped + float(started.stdout)


if __name__ == "__main__":
    main()
