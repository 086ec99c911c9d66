"""Interrupts the tool at many points, and checks the next run: `python -m tests.e2e.killing 500`.

Each round brings the machine into a known state, runs one command, and ends it: with SIGKILL at a
random instant, or at one system call on the files of the unit or the bus, with an error or SIGKILL
(strace(1), inject=). Then the same command runs without a disturbance. It must succeed, the state
must be the promised one, and files of others must be unchanged.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field

from tests.e2e.conftest import UNIT
from tests.e2e.killing_cases import (
    CASES,
    CONFIG,
    DROP_INS,
    ENVIRONMENT,
    FOREIGN,
    LOOK,
    SAVE,
    Case,
    at,
)
from tests.lab.driver import Lab
from tests.lab.fixtures import fresh
from tests.machine import HOME, TOOL, Completed

FAULTS = {
    "newfstatat": ("EACCES",),
    "openat": ("ENOSPC", "EROFS", "EACCES", "EIO"),
    "getdents64": ("EIO",),
    "read": ("EIO",),
    "write": ("ENOSPC", "EIO", "KILL"),
    "fsync": ("ENOSPC", "EIO", "KILL"),
    "fchmod": ("EROFS", "EIO", "KILL"),
    "rename": ("ENOSPC", "EROFS", "EACCES", "EIO", "KILL"),
    "unlink": ("EROFS", "EACCES", "EIO", "KILL"),
    "mkdir": ("ENOSPC", "EROFS", "EACCES", "KILL"),
    "rmdir": ("EROFS", "EACCES", "KILL"),
    "close": ("EIO",),
    "flock": ("EIO",),
    "connect": ("ECONNREFUSED",),
    "sendto": ("EPIPE", "KILL"),
    "sendmsg": ("EPIPE", "KILL"),
    "recvfrom": ("ECONNRESET",),
}
"""Faults of each system call; with KILL, the process ends at this call."""
SEEN = ",".join(FAULTS)
FAULT_SECONDS = 120
_TRIES = 5
_CALL = re.compile(r"^(?P<name>\w+)\((?P<rest>.*)")
_ON_OUR_FILES = re.compile(r"/\.config/systemd/user|k3s-rootless\.lock")
# Of the read calls, only those for a message: the greeting of the bus arrives byte by byte.
_ON_THE_BUS = re.compile(
    r"^(?:(?:sendto|sendmsg)\(\d+<(?:UNIX|socket)|connect\(.*/bus\"|recvfrom\(\d+<UNIX.*, \d{4,}, )"
)


@dataclass
class Tally:
    """Counts of rounds, kills and faults, and the errors that were found."""

    rounds: int = 0
    kills: int = 0
    faults: int = 0
    missed: int = 0
    by_command: Counter[str] = field(default_factory=Counter)
    by_call: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.rounds} rounds, {self.kills} kills, {self.faults} system calls that failed or"
            f" were the last, {self.missed} missed; {len(self.wrong)} times something was"
            f" wrong\n{dict(self.by_command)}\n{dict(self.by_call)}"
        )


class Killer:
    """Lab in which commands are interrupted."""

    def __init__(self, lab: Lab, seed: int, report: Callable[[Tally], None] | None = None) -> None:
        self.lab = lab
        self.report = report
        self.random = random.Random(seed)  # noqa: S311 (instants, not secrets)
        self.tally = Tally()
        fresh(lab)
        self._shell(FOREIGN).check_returncode()
        self.foreign = self._foreign(self._look())
        self._shell(SAVE).check_returncode()
        self.names = list(CASES)
        self.took = {name: self._duration(CASES[name]) for name in self.names}

    def kill(self, name: str) -> None:
        """Kill a command at random instants, up to six times.

        Each run continues from the state that the last one left.
        """
        case = CASES[name]
        self._prepare(case)
        for _ in range(self.random.randint(1, 6)):
            with self.lab.popen(TOOL, *case.arguments) as running:
                time.sleep(self.random.uniform(0, self.took[name]))
                running.kill()
            self.tally.kills += 1
            self.tally.by_command[name] += 1
        self._require_well(name, case, "killed")

    def faults(self, name: str, most: int | None = None) -> None:
        """Let each system call on our files and on the bus fail once in each way.

        With `most`, at most this many calls fail, each in one random way.
        """
        count: Counter[str] = Counter()
        calls = []
        for call, _, _ in self._calls(CASES[name]):
            calls.append((call, count[call]))
            count[call] += 1
        for call, turn in (
            calls if most is None else self.random.sample(calls, min(most, len(calls)))
        ):
            for what in FAULTS[call] if most is None else (self.random.choice(FAULTS[call]),):
                self._fault(name, call, turn, what)

    def _fault(self, name: str, call: str, turn: int, what: str) -> None:
        """Let one relevant system call fail: the call of this kind with index `turn`.

        The calls vary with the load of the host.
        """
        case = CASES[name]
        met = False
        for _ in range(_TRIES):
            calls = [one[1:] for one in self._calls(case) if one[0] == call]
            if turn >= len(calls):
                continue
            number, line = calls[turn]
            fault = f"{call}:{'signal' if what == 'KILL' else 'error'}={what}:when={number}"
            self._prepare(case)
            done, trace = self._injected(case, fault)
            met = (
                any("(INJECTED)" in one and _matters(one) for one in trace.splitlines())
                or what == "KILL"
            )
            if "Traceback" in done.stderr or (
                done.returncode not in {0, -9, 137} and "error: " not in done.stderr
            ):
                self.tally.wrong.append(
                    f"{name}, {fault} ({line}): {done.returncode} {done.stderr}"
                )
            self._require_well(name, case, f"{fault} ({line})")
            if met:
                break
        self.tally.missed += not met
        self.tally.faults += met
        self.tally.by_call[call] += met

    def _calls(self, case: Case) -> list[tuple[str, int, str]]:
        self._prepare(case)
        return list(_calls(self._traced(case)))

    def _prepare(self, case: Case) -> None:
        self._shell(case.before)

    def _duration(self, case: Case) -> float:
        self._prepare(case)
        begun = time.monotonic()
        self._patiently(TOOL, *case.arguments).check_returncode()
        return time.monotonic() - begun

    def _require_well(self, name: str, case: Case, how: str) -> None:
        done = self._patiently(TOOL, *case.arguments)
        state = self._look()
        wrong = []
        if done.returncode != 0 or "Traceback" in done.stderr:
            wrong.append(f"the next run ended with {done.returncode}: {done.stderr}")
        if not case.promise(state) or state["NeedDaemonReload"] != "no":
            wrong.append(f"the state is not what was promised: {state}")
        if any(path.endswith(".new") for path in state):
            wrong.append("a temporary file was left")
        foreign = {
            path: what
            for path, what in self.foreign.items()
            if not (case.alone and _is_drop_in(path))
        }
        if self._foreign(state) != foreign:
            wrong.append(f"something of others changed: {state}")
        self.tally.rounds += 1
        self.tally.wrong += [f"{name}, {how}: {one}" for one in wrong]
        if self.report is not None:
            self.report(self.tally)

    def _look(self) -> dict[str, str]:
        state: dict[str, str] = {}
        for line in self._shell(LOOK).stdout.splitlines():
            if found := re.fullmatch(r"([0-9a-f]{64})  (.*)", line):
                state[found[2]] += f" {found[1]}"
            elif line.startswith((".config", "dotfiles")):
                path, _, rest = line.partition(" ")
                state[path] = rest
            else:
                key, _, value = line.partition("=")
                state[key] = value
        return state

    @staticmethod
    def _foreign(state: dict[str, str]) -> dict[str, str]:
        ours = (UNIT.name, CONFIG.name, ENVIRONMENT.name)
        return {
            path: what
            for path, what in state.items()
            if path.startswith((".config", "dotfiles"))
            and not path.endswith((*ours, ".new", ".d", ".wants"))
        }

    def _traced(self, case: Case) -> str:
        self._strace(case, ()).check_returncode()
        return self._shell("cat /tmp/trace").stdout

    def _injected(self, case: Case, fault: str) -> tuple[Completed, str]:
        done = self._strace(case, ("-e", f"inject={fault}"))
        return done, self._shell("cat /tmp/trace").stdout

    def _strace(self, case: Case, inject: tuple[str, ...]) -> Completed:
        options = ("-qq", "-y", "-y", "-o", "/tmp/trace", "-e", f"trace={SEEN}", *inject)
        return self._patiently("strace", *options, TOOL, *case.arguments)

    def _patiently(self, *command: str) -> Completed:
        # A SIGTERM early in a start can be lost: the first process of a PID namespace receives only
        # signals that it handles (pid_namespaces(7)), and K3s's unit has no stop timeout. The tool
        # reports this, and how to end K3s.
        done = self.lab.user(*command, timeout=FAULT_SECONDS)
        if "systemd's job goes on" in done.stderr:
            self._shell(f"systemctl --user kill --signal=SIGKILL {UNIT.name}").check_returncode()
            done = self.lab.user(*command, timeout=FAULT_SECONDS)
        return done

    def _shell(self, script: str) -> Completed:
        return self.lab.user("sh", "-c", script)


def _calls(trace: str) -> Iterator[tuple[str, int, str]]:
    """Yield the relevant system calls: name, number among calls of that name, and text."""
    count: Counter[str] = Counter()
    for line in trace.splitlines():
        if found := _CALL.match(line):
            count[found["name"]] += 1
            if _matters(line):
                yield found["name"], count[found["name"]], line[:160]


def _is_drop_in(path: str) -> bool:
    return path.startswith(f"{at(DROP_INS)}/")


def _matters(line: str) -> bool:
    return bool(_ON_OUR_FILES.search(line) or _ON_THE_BUS.match(line))


def run(
    lab: Lab,
    kills: int,
    faults: Collection[str],
    *,
    most: int | None = None,
    seed: int,
    report: Callable[[Tally], None] | None = None,
) -> Tally:
    """Kill `kills` times; then let system calls of the commands `faults` fail.

    Each call fails in each way, or at most `most` calls fail in one way each.
    """
    killer = Killer(lab, seed, report)
    try:
        while killer.tally.kills < kills:
            killer.kill(killer.random.choice(killer.names))
        for name in faults:
            killer.faults(name, most)
    finally:
        lab.user("rm", "-rf", str(HOME / "dotfiles"), "/tmp/saved", "/tmp/trace")
        fresh(lab)
    return killer.tally


def _report(tally: Tally) -> None:
    if tally.rounds % 10 == 0:
        for one in tally.wrong:
            print(one)
        print(
            f"{tally.rounds} rounds, {tally.kills} kills, {tally.faults} faults, {len(tally.wrong)}"
            " wrong",
            flush=True,
        )


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="kill the tool, and let its system calls fail")
    parser.add_argument("kills", type=int)
    parser.add_argument(
        "--faults",
        nargs="*",
        default=(),
        choices=list(CASES),
        help="let each system call of these fail",
    )
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    given = parser.parse_args()
    with Lab.up(f"killing-{os.getpid()}") as lab:
        begun = time.monotonic()
        print(f"seed {given.seed}", flush=True)
        tally = run(lab, given.kills, given.faults, seed=given.seed, report=_report)
        print(f"{tally}\n{time.monotonic() - begun:.0f} s")
    for one in tally.wrong:
        print(one)
    raise SystemExit(1 if tally.wrong else 0)


if __name__ == "__main__":
    main()
