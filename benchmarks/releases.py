"""`python -m benchmarks.releases`: cost of `release get` and `release list`.

A TLS server on the loopback has a release of 100 MB; the floor of `release get` is `curl`, then
`sha256sum` of the file. The floor of `release list` is `python -c "import click, dbus_next.aio"`.
Each round runs command and floor in turn. If root runs it, the commands run as another user.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.__main__ import CLICK_AND_BUS
from k3s_rootless.binaries import architectures
from k3s_rootless.binaries.facts import Architecture
from tests.fakes.session import PROJECT, as_user

USER = os.getuid() or 65534
VERSION, SIZE = "v1.36.3+k3s1", 100_000_000
OTHERS = ("v1.34.9+k3s1", "v1.35.7+k3s1")
GET, LIST = 1.15, 1.35
"""The bounds of both ratios, in docs/explanation/performance.md."""


@dataclass(slots=True)
class Runs:
    """The times of the runs of one command, in seconds, and its largest resident set, in MiB."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    memory: float = 0.0

    def run(self, environ: Mapping[str, str], *commands: Sequence[str]) -> None:
        """Run commands one after the other, as one run."""
        wall = processor = 0.0
        for command in commands:
            begun = time.perf_counter()
            usage = run(environ, command)
            wall += time.perf_counter() - begun
            processor += usage.ru_utime + usage.ru_stime
            self.memory = max(self.memory, usage.ru_maxrss / 1024)
        self.wall.append(wall)
        self.processor.append(processor)


def main() -> None:
    """Measure, and print the table; people interpret it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.releases", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=9, help="how often each pair runs (default: %(default)s)"
    )
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-bench-") as name:
        home = Path(name)
        home.chmod(0o755)
        (home / "share").mkdir()
        os.chown(home / "share", USER, USER)
        ours, theirs = multiprocessing.Pipe()
        # A process of its own: a child starts with the largest resident set of its parent.
        server = multiprocessing.Process(target=serve, args=(home, theirs), daemon=True)
        server.start()
        environ = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "share"),
            **ours.recv(),
        }
        show("release get, 100 MB", measure_get(environ, rounds), GET)
        show("release list", measure_list(environ, 3 * rounds), LIST)
        server.terminate()
        server.join()


def serve(home: Path, pipe: Connection) -> None:
    """Serve releases until this process is terminated; send the environment for clients."""
    import trustme

    from tests.fakes.release_server import binary, checksum_lines, release_server

    names = architecture()
    with release_server(home, trustme.CA()) as server:
        for version, size in ((VERSION, SIZE), *((one, 300_000) for one in OTHERS)):
            data = binary(version, size)
            server.put(version, names.binary, data)
            server.put(version, names.checksums, checksum_lines({names.binary: data}))
        pipe.send(server.environ)
        pipe.recv()


def measure_get(environ: Mapping[str, str], rounds: int) -> tuple[Runs, Runs]:
    """Return the runs of `release get`, and those of curl and sha256sum."""
    share = Path(environ["XDG_DATA_HOME"])
    base, authority = environ["INSTALL_K3S_ARTIFACT_URL"], environ["SSL_CERT_FILE"]
    url = f"{base}/{VERSION.replace('+', '%2B')}/{architecture().binary}"
    file = str(share / "k3s")
    curl = ("curl", "-fsSL", "--cacert", authority, "-o", file, url)

    def clean() -> None:
        shutil.rmtree(share / "k3s-rootless", ignore_errors=True)
        Path(file).unlink(missing_ok=True)

    return measure(
        environ, rounds, clean, [tool("release", "get", VERSION)], [curl, ("sha256sum", file)]
    )


def measure_list(environ: Mapping[str, str], rounds: int) -> tuple[Runs, Runs]:
    """Return the runs of `release list`, with three releases on this host, and of its floor."""
    for version in (VERSION, *OTHERS):
        run(environ, tool("release", "get", version))
    floor = (sys.executable, *CLICK_AND_BUS)
    return measure(environ, rounds, lambda: None, [tool("release", "list")], [floor])


def measure(
    environ: Mapping[str, str],
    rounds: int,
    before: Callable[[], None],
    ours: Sequence[Sequence[str]],
    floor: Sequence[Sequence[str]],
) -> tuple[Runs, Runs]:
    """Return the runs of command and floor, without the first, which fills caches."""
    found, floors = Runs(), Runs()
    for _ in range(rounds + 1):
        before()
        found.run(environ, *ours)
        floors.run(environ, *floor)
    for one in (found, floors):
        del one.wall[0], one.processor[0]
    return found, floors


def show(what: str, runs: tuple[Runs, Runs], bound: float) -> None:
    """Print one line of the table."""
    ours, floor = runs
    wall = [statistics.median(one.wall) for one in runs]
    processor = [statistics.median(one.processor) for one in runs]
    print(
        f"{what:<20} {wall[0] * 1e3:5.0f} ms, {wall[0] / wall[1]:.2f} times the floor"
        f" ({wall[1] * 1e3:.0f} ms), least {min(ours.wall) / min(floor.wall):.2f};"
        f" processor time {processor[0] / processor[1]:.2f}; bound {bound};"
        f" {ours.memory:.0f} MiB",
        flush=True,
    )


def architecture() -> Architecture:
    """Return the architecture of this host; exit if K3s has no releases for it."""
    found = architectures.of_machine(os.uname().machine)
    if found is None:
        sys.exit("error: there are no releases for this machine")
    return found


def tool(*arguments: str) -> tuple[str, ...]:
    """Return a command line of k3s-rootless."""
    return (sys.executable, "-m", "k3s_rootless", *arguments)


def run(environ: Mapping[str, str], command: Sequence[str]) -> resource.struct_rusage:
    """Run a command that must succeed, and return what it used."""
    with subprocess.Popen(
        [*as_user(USER), *command],
        cwd=PROJECT,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as running:
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    if running.returncode:
        sys.exit(f"error: {' '.join(command)} failed")
    return usage


if __name__ == "__main__":
    main()
