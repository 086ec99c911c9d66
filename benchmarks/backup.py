"""`python -m benchmarks.backup`: CPU time of `backup create`, and of sqlite3 and tar.

Writes a datastore of `--megabytes` in the form of kine, below a directory in memory if there is
one. In turn it runs `backup create` (with a fake user manager that reports a running K3s), and what
people run by hand: `sqlite3 state.db .backup` and tar of the copy, compressed and not. Without the
program sqlite3, Python's module copies the datastore. CPU time is that of all processes, in user
and kernel mode, because other programs on the machine do not change it much. Asserts nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from k3s_rootless.paths import UNIT
from k3s_rootless.service.systemd.user import UserManager
from tests.backup.cluster import KINE
from tests.fakes.session import PROJECT, as_user, session
from tests.fakes.user import USER, ordinary_user

BOUND = 1.2
_MEMORY = Path("/dev/shm")  # noqa: S108 (a file system in memory)
_COPY = """
import sqlite3, sys
source, target = map(sqlite3.connect, sys.argv[1:])
source.backup(target)
"""
_INDEXES = ("name", "name, id", "id, deleted", "prev_revision", "name, prev_revision")


def main() -> None:
    """Measure, and print the medians and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backup", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    memory = None
    if os.access(_MEMORY, os.W_OK):
        memory = str(_MEMORY)
    with tempfile.TemporaryDirectory(prefix="k3s-rootless-", dir=memory) as name:
        place = Path(name)
        place.chmod(0o755)
        found = _measure(place, options.megabytes, options.rounds)
    print(json.dumps({name: round(seconds, 2) for name, seconds in found.items()}))
    for peer in ("tar -cz", "tar -c"):
        by_hand = found["sqlite3 .backup"] + found[peer]
        print(f"to sqlite3 .backup and {peer}: {found['backup create'] / by_hand:.2f}")
    print(f"bound, to the compressed archive: {BOUND}")


def _measure(place: Path, megabytes: int, rounds: int) -> dict[str, float]:
    home = place / "home"
    database = home / ".rancher/k3s/server/db/state.db"
    fill(database, megabytes * 1_000_000)
    (home / ".rancher/k3s/server/token").write_text("K10")
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER)
    copy, archive = place / "copy.db", place / "copy.tar"
    times: dict[str, list[float]] = {}
    with session(place / "session", USER) as bus:
        ours = _backup(home, bus.runtime, bus.units)
        runs: dict[str, Callable[[], Sequence[str]]] = {
            "sqlite3 .backup": lambda: _by_hand(database, copy),
            "tar -cz": lambda: ("tar", "-czf", str(archive), str(copy)),
            "tar -c": lambda: ("tar", "-cf", str(archive), str(copy)),
            "backup create": lambda: ours,
        }
        for _ in range(rounds):
            for name, command in runs.items():
                times.setdefault(name, []).append(cpu_seconds(command(), home, bus.runtime))
            for path in (copy, archive, home / "out.tar.gz"):
                path.unlink()
    return {name: statistics.median(one) for name, one in times.items()}


def fill(database: Path, size: int) -> None:
    """Write a datastore as kine has it, with objects like those of Kubernetes."""
    database.parent.mkdir(parents=True)
    numbers = random.Random(1)  # noqa: S311 (the same content in each run)
    with closing(sqlite3.connect(database)) as found:
        found.execute("PRAGMA journal_mode = WAL")
        found.execute(KINE)
        for number, columns in enumerate(_INDEXES):
            found.execute(f"CREATE INDEX kine_{number} ON kine ({columns})")
        written = row = 0
        while written < size:
            row += 1
            value = _pod(numbers, row)
            written += 2 * len(value)
            found.execute(
                "INSERT INTO kine (name, prev_revision, value, old_value) VALUES (?, ?, ?, ?)",
                (f"/registry/pods/default/web-{row % 5000}", row - 1, value, value),
            )
            if row % 1000 == 0:
                found.commit()
        found.commit()


def cpu_seconds(command: Sequence[str], home: Path, runtime: Path) -> float:
    """Run a command, and return its CPU time in seconds, with all of its processes."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
        "XDG_DATA_HOME": str(home / "share"),
        "PYTHONPATH": str(PROJECT),
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environ, check=True, capture_output=True, cwd=PROJECT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _backup(home: Path, runtime: Path, units: Path) -> tuple[str, ...]:
    """Start the unit of a K3s, and return the command that creates a backup of it."""
    data = f"--data-dir={home}/.rancher/k3s"
    (units / UNIT).write_text(f"[Service]\nExecStart=/usr/bin/k3s server --rootless {data}\n")
    with ordinary_user() as uid, UserManager({}, runtime, uid) as manager:
        manager.start(UNIT)
    words = ("-m", "k3s_rootless", "backup", "create", "-o", str(home / "out.tar.gz"))
    return (*as_user(USER), sys.executable, *words)


def _by_hand(database: Path, copy: Path) -> tuple[str, ...]:
    program = shutil.which("sqlite3")
    if program is None:
        return (sys.executable, "-c", _COPY, str(database), str(copy))
    return (program, str(database), f".backup {copy}")


def _pod(numbers: random.Random, row: int) -> bytes:
    containers = [
        {
            "name": f"container-{number}",
            "image": f"registry.example/web:{row}",
            "env": [
                {"name": f"V{one}", "value": f"{numbers.getrandbits(64):x}"} for one in range(20)
            ],
        }
        for number in range(2)
    ]
    uid = f"{numbers.getrandbits(128):032x}"
    return json.dumps(
        {
            "kind": "Pod",
            "metadata": {"name": f"web-{row % 5000}", "uid": uid, "labels": {"app": "web"}},
            "spec": {"containers": containers},
            "status": {"phase": "Running", "podIP": f"10.42.0.{row % 250}"},
        }
    ).encode()


if __name__ == "__main__":
    main()
