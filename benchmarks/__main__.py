"""`python -m benchmarks`: time whole commands and their floors.

Commands and floors run in turn, so that a busy machine affects both. The program prints a table and
exits with 0 for any result: people interpret the ratios, and no test asserts them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass

CLICK = ("-c", "import click")
CLICK_AND_BUS = ("-c", "import click, dbus_next.aio")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Command, its floor, and the bound of their ratio in docs/explanation/performance.md."""

    name: str
    command: tuple[str, ...]
    floor: tuple[str, ...]
    bound: float | None


COMPARISONS = (
    Comparison("--version", ("-m", "k3s_rootless", "--version"), CLICK, 1.25),
    Comparison("--help", ("-m", "k3s_rootless", "--help"), CLICK, 1.25),
    Comparison("completion", ("-m", "k3s_rootless"), CLICK, 1.25),
    Comparison(
        "http.client beside dbus-next",
        ("-c", "import click, dbus_next.aio, http.client"),
        CLICK_AND_BUS,
        None,
    ),
    Comparison(
        "rich beside dbus-next",
        ("-c", "import click, dbus_next.aio, rich.table"),
        CLICK_AND_BUS,
        None,
    ),
    Comparison(
        "pyroute2 beside dbus-next",
        ("-c", "import click, dbus_next.aio, pyroute2"),
        CLICK_AND_BUS,
        None,
    ),
)
MACHINE_COMPARISONS = (
    Comparison("status (K3s ready)", ("-m", "k3s_rootless", "status"), CLICK_AND_BUS, 1.6),
    Comparison("env list", ("-m", "k3s_rootless", "env", "list"), CLICK_AND_BUS, 1.6),
    Comparison(
        "kubeconfig show", ("-m", "k3s_rootless", "kubeconfig", "show"), CLICK_AND_BUS, 1.35
    ),
    Comparison("check", ("-m", "k3s_rootless", "check"), CLICK_AND_BUS, 3),
    Comparison("ports", ("-m", "k3s_rootless", "ports"), CLICK_AND_BUS, 3.5),
    Comparison(
        "up (nothing to do)",
        ("-m", "k3s_rootless", "up", "--ignore", "cgroup.delegation"),
        CLICK_AND_BUS,
        3,
    ),
)


def main() -> None:
    """Run the requested comparisons, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=15, help="how often each pair runs (default: %(default)s)"
    )
    parser.add_argument(
        "--running",
        action="store_true",
        help="also the commands that need a running K3s of this user",
    )
    parser.add_argument("--json", action="store_true", help="print the raw medians, in seconds")
    options = parser.parse_args()
    comparisons = COMPARISONS + (MACHINE_COMPARISONS if options.running else ())
    results = [(one, *measure(one, options.rounds)) for one in comparisons]
    if options.json:
        print(
            json.dumps(
                [
                    {"name": one.name, "seconds": ours, "floor": floor}
                    for one, ours, floor in results
                ],
                indent=2,
            )
        )
        return
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} CPUs, median of {options.rounds}"
        " pairs\n"
    )
    print(f"{'command':<30} {'ms':>7} {'floor ms':>9} {'ratio':>6} {'bound':>6}")
    for one, ours, floor in results:
        print(
            f"{one.name:<30} {ours * 1e3:7.1f} {floor * 1e3:9.1f} {ours / floor:6.2f}"
            f" {one.bound or '':>6}"
        )


def measure(one: Comparison, rounds: int) -> tuple[float, float]:
    """Return the medians of command and floor, in seconds, after one warm-up round."""
    pairs = [
        (seconds(one.command, completing=one.name == "completion"), seconds(one.floor))
        for _ in range(rounds + 1)
    ][1:]
    return statistics.median(ours for ours, _ in pairs), statistics.median(
        floor for _, floor in pairs
    )


def seconds(arguments: tuple[str, ...], *, completing: bool = False) -> float:
    """Return the duration of one run of Python as a whole process, in seconds."""
    variables = (
        {
            "_K3S_ROOTLESS_COMPLETE": "bash_complete",
            "COMP_WORDS": "k3s-rootless st",
            "COMP_CWORD": "1",
        }
        if completing
        else {}
    )
    begun = time.perf_counter()
    subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
