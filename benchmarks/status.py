"""`python -m benchmarks.status`: cost of `status`, `env list` and `shell`, in a lab (needs root).

The lab has a real systemd and rootlesskit. With a ready K3s, the floor is `python -c "import click,
dbus_next.aio"`. The times with a frozen API server, a silent bus, and a journal of 25,000 lines in
one start are in seconds. Each round runs command and floor in turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from tests.lab.driver import Lab
from tests.lab.orders import ORDERS

BOUND, SECONDS = 1.6, 2.0
LINES = 25_000
UNIT = "k3s-rootless.service"
_PROGRAM = """
import json, os, statistics, subprocess, sys, time
python = "/opt/k3s-rootless/bin/python"
commands = {
    "floor": [python, "-c", "import click, dbus_next.aio"],
    "ours": ["k3s-rootless", *sys.argv[2:]],
}
times = {name: [] for name in commands}
used = {name: [] for name in commands}
for number in range(int(sys.argv[1]) + 1):
    for name, command in commands.items():
        begun = time.perf_counter()
        running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = code = os.waitstatus_to_exitcode(status)
        if number:
            times[name].append(time.perf_counter() - begun)
            used[name].append(usage.ru_utime + usage.ru_stime)
def medians(kind):
    return {name: statistics.median(taken) for name, taken in kind.items()}
print(json.dumps([code, medians(times), medians(used)]))
"""
_WRITER = f"""
for n in range({LINES}):
    print(f'I1123 21:35:11.953595      21 shared_informer.go:240] '
          f'Waiting for caches to sync for node_authorizer, turn {{n}}')
raise SystemExit(1)
"""


def main() -> None:
    """Measure, and print the table; people interpret it.

    Tests assert a bound that depends on the machine.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.status", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=15, help="how often each command runs (default: %(default)s)"
    )
    rounds = parser.parse_args().rounds
    with Lab.up("bench-status") as lab:
        up(lab)
        for command in ("status --json", "env list", "env list --json", "shell -- true"):
            show(f"{command}, K3s is ready", 0, measure(lab, rounds, *command.split()), None)
        bus = lab.user(
            "systemctl", "--user", "show", "-P", "MainPID", "dbus.service"
        ).stdout.strip()
        lab.root("kill", "-STOP", bus).check_returncode()
        show("the bus is silent", 1, measure(lab, rounds // 3), SECONDS)
        lab.root("kill", "-CONT", bus).check_returncode()
        up(lab, freeze_after=3)
        time.sleep(4)
        show("the API server is frozen", 4, measure(lab, rounds // 3), SECONDS)
        lab.user("systemctl", "--user", "kill", "-s", "KILL", UNIT)
        long_journal(lab)
        show(f"{LINES} lines in the journal", 1, measure(lab, rounds // 3), SECONDS)


def up(lab: Lab, **orders: object) -> None:
    """Start K3s."""
    lab.user("systemctl", "--user", "stop", UNIT)
    lab.user(
        "tee", str(ORDERS), stdin=json.dumps({"enforce_controllers": lab.delegates, **orders})
    ).check_returncode()
    ignore = () if lab.delegates else ("--ignore", "cgroup.delegation")
    lab.user("k3s-rootless", "up", *ignore, timeout=240).check_returncode()


def long_journal(lab: Lab) -> None:
    """Make the unit write many lines, and fail."""
    lab.user("systemctl", "--user", "stop", UNIT)
    writer = "/tmp/writer.py"  # noqa: S108 (the lab's own)
    lab.user("tee", writer, stdin=_WRITER).check_returncode()
    edit = ("systemctl", "--user", "edit", "--runtime", "--stdin", UNIT)
    text = "[Service]\nRestart=no\nExecStart=\nExecStart=/usr/bin/python3 /tmp/writer.py\n"
    lab.user(*edit, stdin=text).check_returncode()
    lab.user("systemctl", "--user", "start", UNIT).check_returncode()
    time.sleep(3)
    lab.root("journalctl", "--sync").check_returncode()


Medians = dict[str, float]


def measure(lab: Lab, rounds: int, *command: str) -> tuple[int, Medians, Medians]:
    """Return the last exit code, and the medians of wall time and processor time, in seconds."""
    arguments = command or ("status", "--json")
    done = lab.user(
        "/opt/k3s-standin/bin/python", "-I", "-c", _PROGRAM, str(rounds), *arguments, timeout=600
    )
    if done.returncode:
        sys.exit(done.stderr)
    code, medians, used = json.loads(done.stdout)
    return code, medians, used


def show(
    what: str, expected: int, measured: tuple[int, Medians, Medians], bound: float | None
) -> None:
    """Print one line of the table."""
    code, medians, used = measured
    ours, floor = medians["ours"], medians["floor"]
    aim = f"bound {bound:g} s" if bound else f"bound {BOUND} times the floor"
    wrong = "" if code == expected else f"  EXIT STATUS {code}, NOT {expected}"
    print(
        f"{what:<32} {ours * 1e3:7.0f} ms  {ours / floor:5.2f} times the floor ({floor * 1e3:.0f}"
        f" ms), {used['ours'] / used['floor']:.2f} in processor time  {aim}{wrong}",
        flush=True,
    )


if __name__ == "__main__":
    main()
