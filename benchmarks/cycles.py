"""`python -m benchmarks.cycles`: many starts and stops in a row, next to `status --watch`.

Boots a lab (root needed). Three watches run: as lines in a pipe, as documents, and on a terminal.
Every ten turns, while K3s is ready, resident memory, file descriptors and threads of each watch are
read. Processes and files that the turns left are compared with those before. Asserts nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.starts import QUICK, UNIT, stop, up

if TYPE_CHECKING:
    import subprocess

    from tests.machine import Machine

WATCH = "k3s-rootless status --watch"
WATCHES = {
    "lines": ("k3s-rootless", "status", "--watch"),
    "documents": ("k3s-rootless", "status", "--watch", "--json"),
    "terminal": (
        "script",
        "--quiet",
        "--return",
        "--command",
        f"env TERM=xterm {WATCH}",
        "/dev/null",
    ),
}
EVERY = 10
_LOOK = "ps -o comm= -u 1500 | sort; ls -A /tmp /run/user/1500 /home/alice/.rancher/k3s"
_SIZES = """
import json, pathlib, sys
found = {}
for one in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        arguments = one.joinpath("cmdline").read_bytes().split(bytes(1))[:-1]
        if b"--watch" not in arguments or b"python" not in arguments[0]:
            continue
        drawn = one.joinpath("fd/1").readlink().match("/dev/pts/*")
        name = "documents" if b"--json" in arguments else "terminal" if drawn else "lines"
        lines = one.joinpath("status").read_text().splitlines()
        status = dict(line.split(":", 1) for line in lines)
        kib = int(status["VmRSS"].split()[0])
        found[name] = [kib, len(list(one.joinpath("fd").iterdir())), int(status["Threads"])]
    except OSError:
        continue
print(json.dumps(found))
"""


@dataclass
class Watcher:
    """One watch: the number of its outputs, and its sizes (KiB, descriptors, threads) per turn."""

    process: subprocess.Popen[str]
    ready: int = 0
    stopped: int = 0
    sizes: list[tuple[int, int, int]] = field(default_factory=list)

    def read(self) -> None:
        """Read the output until it ends."""
        last = ""
        for line in self.process.stdout or ():
            state = _state(line)
            self.ready += state == "ready" != last
            self.stopped += state == "not running" != last
            last = state or last


def main() -> None:
    """Start and stop K3s; print the figures of the watches and what is left."""
    from tests.lab.driver import Lab
    from tests.machine import HOME

    parser = argparse.ArgumentParser(prog="python -m benchmarks.cycles", description=__doc__)
    parser.add_argument(
        "--cycles", type=int, default=200, help="starts and stops in a row (default: %(default)s)"
    )
    cycles = parser.parse_args().cycles
    with Lab.up("cycles") as lab:
        lab.user("tee", str(HOME / ".k3s-standin.json"), stdin=json.dumps(QUICK)).check_returncode()
        up(lab)
        stop(lab)
        first = lab.root("sh", "-c", _LOOK).stdout.splitlines()
        begun = time.monotonic()
        with watching(lab) as watchers:
            _turn(lab, cycles, watchers)
        last = lab.root("sh", "-c", _LOOK).stdout.splitlines()
    left = sorted(set(last) - set(first)) or "nothing"
    print(f"{cycles} starts and stops in {time.monotonic() - begun:.0f} s: new is {left}")
    for name, one in watchers.items():
        print(f"{name:<10} ready {one.ready} times, not running {one.stopped} times; {_sizes(one)}")


def _turn(lab: Machine, cycles: int, watchers: dict[str, Watcher]) -> None:
    for number in range(1, cycles + 1):
        up(lab)
        # A watch looks each second, or at a signal: every watch can see the ready state.
        time.sleep(1.2)
        if number % EVERY == 0:
            for name, found in json.loads(
                lab.root("/usr/bin/python3", "-c", _SIZES).stdout
            ).items():
                watchers[name].sizes.append(tuple(found))
        down = lab.user("k3s-rootless", "down")
        if down.returncode:
            sys.exit(
                f"turn {number}:"
                f" {down.stderr}{lab.user('systemctl', '--user', 'status', '--full', UNIT).stdout}"
            )
        lab.user("systemctl", "--user", "reset-failed", UNIT)
        time.sleep(0.3)


@contextlib.contextmanager
def watching(lab: Machine) -> Iterator[dict[str, Watcher]]:
    """Yield three running watches."""
    watchers = {name: Watcher(lab.popen(*command)) for name, command in WATCHES.items()}
    readers = [threading.Thread(target=one.read) for one in watchers.values()]
    for reader in readers:
        reader.start()
    try:
        yield watchers
    finally:
        for one in watchers.values():
            one.process.terminate()
        for reader in readers:
            reader.join()


def _state(line: str) -> str:
    # A document, a line in the pipe, or the first line of a screen.
    if line.startswith("{"):
        return str(json.loads(line).get("state") or "")
    for label in ("K3s: ", "K3s          "):
        _, found, rest = line.partition(label)
        if found:
            return next(
                (state for state in ("ready", "not running") if rest.startswith(state)), "other"
            )
    return ""


def _sizes(one: Watcher) -> str:
    if len(one.sizes) < 4:
        return "too few samples"
    quarter = len(one.sizes) // 4
    early, late = one.sizes[:quarter], one.sizes[-quarter:]
    memory = [statistics.mean(size[0] for size in part) / 1024 for part in (early, late)]
    counts = [sorted({size[place] for size in one.sizes}) for place in (1, 2)]
    return (
        f"{memory[0]:.1f} MiB in the first quarter, {memory[1]:.1f} in the last; "
        f"descriptors {'/'.join(map(str, counts[0]))}, threads {'/'.join(map(str, counts[1]))}"
    )


if __name__ == "__main__":
    main()
