"""Ways to fail a start, and the expected result of `up` for each.

The result has an exit code, a phase, the first cause, and a delay. The delay is from systemd's own
journal line to the event with which `up` reports the exit, both by the clock of the same machine.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from k3s_rootless.journal.catalogue import CATALOGUE
from k3s_rootless.journal.exits import STEPS, identifier, title
from k3s_rootless.preflight.checks.checklist import CHECKS
from tests.e2e.causes import (
    CASES,
    LAB,
    SERVER,
    VM,
    Case,
    both,
    drop_in,
    exits_with,
    mask,
    no_drop_in,
    nothing,
    order,
    unmask,
)
from tests.e2e.conftest import DELEGATING, UNIT, Tool
from tests.machine import TOOL
from tests.vm.machine import Vm

Step = Callable[[Tool], None]
_PATIENCE = {"lab": 1, "vm": 5}
"""Factor for starts that must time out: the virtual machine may be emulated, and slower."""
_EXITED = "Main process exited"
_STOPS = "Stopping "
# rootlesskit 2.0.2 ignores SIGTERM for ever if its child dies of it while the network is created.
_STARTED = f"""
for turn in $(seq 200); do
    systemctl --user is-active --quiet {UNIT.name} || exit 0
    test ! -S ~/.rancher/k3s/rootless/api.sock || exit 0
    sleep 0.05
done
"""
_WAITS = {"snapshotter-fuse": "node", "datastore-damaged": "port"}
"""Phase that is never reached when K3s waits forever; its journal shows this early."""


_BY_CHECK = {"data-readonly": "user"}
"""Who can follow the remedy of `check`, if it differs from that of `diagnose`."""
GROUPS = tuple(dict.fromkeys(check.id.partition(".")[0] for check in CHECKS))
"""All groups of `check`: if all are ignored, the start goes on and fails."""


# `up` itself judges the unit, and finds a program that has moved.
_FATAL = {
    check.id for check in CHECKS if not check.id.startswith("unit.") and check.id != "k3s.binary"
}


@dataclass(frozen=True)
class Way:
    """How a start is made to fail, and the expected result.

    `during` runs when the phase `at` was reached. `exit_text` is text in systemd's line about the
    exit; it is None if there is no exit: the start is refused, or continues. `cause` is the id of
    the cause, None if none is reported.
    """

    id: str
    what: str
    breaks: Step
    undo: Step
    code: int
    cause: str | None = None
    phase: str | None = None
    exit_text: str | None = _EXITED
    during: Step | None = None
    at: str = "socket"
    ignore: tuple[str, ...] = GROUPS
    timeout: str = "60s"
    message: str = ""
    machines: frozenset[str] = LAB | VM


@dataclass
class Run:
    """Output of `up`, and the delay of its report after systemd's message, in seconds."""

    code: int
    document: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list)
    delay: float | None = None

    @property
    def error(self) -> dict[str, Any]:
        """Error at the end."""
        found: dict[str, Any] = self.document["errors"][0]
        return found


def systemctl(*args: str) -> Step:
    """Return a step that runs systemctl as the user."""
    return lambda tool: tool.machine.user(
        "systemctl", "--user", *args, UNIT.name
    ).check_returncode()


def reexecute(tool: Tool) -> None:
    """Re-execute the user manager."""
    tool.machine.user("systemctl", "--user", "daemon-reexec").check_returncode()


def hold(port: int) -> Step:
    """Return a step that starts a program of the user that listens on a port."""
    listen = f"import socket, signal; held = socket.create_server(('', {port})); signal.pause()"

    def step(tool: Tool) -> None:
        run = (
            "systemd-run",
            "--user",
            "--quiet",
            f"--unit=holder-{port}",
            "/usr/bin/python3",
            "-c",
            listen,
        )
        tool.machine.user(*run).check_returncode()
        until = (
            f"for turn in $(seq 100); do ss -Htln sport = :{port} | grep -q . && exit 0; sleep"
            " 0.05; done; exit 1"
        )
        tool.machine.user("sh", "-c", until).check_returncode()

    return step


def free(port: int) -> Step:
    """Return a step that ends this program."""
    return lambda tool: tool.machine.user(
        "systemctl", "--user", "stop", f"holder-{port}"
    ).check_returncode()


def slowly(**orders: object) -> Step:
    """Return a step that orders a slow start."""
    return lambda tool: tool.order(**orders)


def undelegated(tool: Tool) -> None:
    """Restore the virtual machine as booted: a stock Debian does not delegate cpuset."""
    assert isinstance(tool.machine, Vm)
    tool.machine.restore()


def delegated(tool: Tool) -> None:
    """Restore the saved state with all controllers delegated."""
    assert isinstance(tool.machine, Vm)
    tool.machine.restore(DELEGATING)


def _known() -> Iterator[Way]:
    # Every cause that the tests of `diagnose` produce.
    titles = {one.id: re.sub(r"\{\w+\}", "…", one.title) for one in CATALOGUE}
    titles |= {identifier(status): title(status) for status in STEPS if status != 203}
    several = {
        case.id
        for case in CASES
        if [one.id for one in CASES if one.machines & case.machines].count(case.id) > 1
    }
    count: Counter[str] = Counter()
    for case in CASES:
        # One case breaks nothing before the start; in the other, `up` finds the moved program.
        if (
            case.not_in_ways
            or case.breaks is nothing
            or (case.id == "exec-failed" and not case.observed.endswith(".conf"))
        ):
            continue
        count[case.id] += 1
        waits = _WAITS.get(case.id)
        yield Way(
            f"{case.id}-{count[case.id]}" if case.id in several else case.id,
            titles[case.id],
            case.breaks,
            case.undo,
            4 if waits else 1,
            case.id,
            waits,
            None if waits else _EXITED,
            machines=case.machines,
        )


def _step(status: str, *lines: str) -> Way:
    number, name = status.split("/")
    cause = f"exit-{name.lower().replace('_', '-')}"
    return Way(f"status-{number}", f"{lines[-1]} ({status})", drop_in(*lines), no_drop_in, 1, cause)


_OWN = (
    _step("208/STDIN", "StandardInput=file:/nowhere/in"),
    _step("209/STDOUT", "StandardOutput=file:/nowhere/out"),
    # Not Group=root: systemd 252 reports 216/GROUP for it and 257 reports 219/CGROUP.
    replace(_step("216/GROUP", "SupplementaryGroups=root"), machines=LAB),
    _step("217/USER", "User=no-such-user"),
    _step("243/CREDENTIALS", "LoadCredential=key:/nowhere/key"),
    Way(
        "killed",
        "K3s is killed with SIGKILL while it starts",
        order(),
        nothing,
        1,
        "killed",
        "port",
        during=systemctl("kill", "--signal=KILL"),
    ),
    Way(
        "killed-after-reexec",
        "the user manager is re-executed, and then K3s is killed",
        order(node_ready=False),
        order(),
        1,
        "killed",
        during=both(reexecute, systemctl("kill", "--signal=KILL")),
    ),
    Way(
        "stopped",
        "K3s is stopped while it starts",
        order(),
        nothing,
        1,
        "stopped",
        exit_text=_STOPS,
        during=systemctl("stop"),
    ),
    Way(
        "stopped-with-status",
        "K3s is stopped while it starts, and ends with exit status 1",
        order(stop_exit=1, node_ready=False),
        order(),
        1,
        "stopped",
        exit_text=_STOPS,
        during=systemctl("stop"),
        at="port",
    ),
    Way(
        "restarted",
        "K3s is restarted while it starts",
        order(),
        nothing,
        1,
        "stopped",
        exit_text=_STOPS,
        during=systemctl("restart"),
    ),
    Way(
        "exits-late",
        "K3s exits after its API server is ready",
        slowly(
            node_delay=5.0,
            die={
                "after": 1.6,
                "message": "failed to start networking: the moon is full",
                "level": "fatal",
            },
        ),
        order(),
        1,
        "unknown",
        message="the moon is full",
    ),
    Way(
        "frozen-api",
        "the API server accepts connections and never answers",
        order(hang_api=True),
        order(),
        4,
        None,
        "api",
        None,
        timeout="3s",
    ),
    Way(
        "frozen-and-killed",
        "the API server accepts connections and never answers, and K3s is killed",
        order(hang_api=True),
        order(),
        1,
        "killed",
        "api",
        during=systemctl("kill", "--signal=KILL"),
        at="kubeconfig",
    ),
    Way(
        "node-never",
        "the node stays NotReady",
        order(node_ready=False),
        order(),
        4,
        None,
        "node",
        None,
        timeout="4s",
    ),
    Way(
        "slow",
        "the start takes longer than the time limit",
        slowly(delay=30.0),
        order(),
        4,
        None,
        None,
        None,
        timeout="2s",
    ),
    Way(
        "cgroup-controller",
        "the controller cpuset is not delegated, as on a stock Debian",
        undelegated,
        delegated,
        1,
        "cgroup-controller",
        machines=VM,
    ),
    Way("masked", "the unit is masked", mask, unmask, 7, exit_text=None, message="masked"),
    Way(
        "bad-setting",
        "the unit has no ExecStart=",
        drop_in("ExecStart=", "Type=oneshot", "Restart=always"),
        no_drop_in,
        1,
        "unit-broken",
        exit_text=None,
    ),
    Way(
        "port-6443",
        "another program uses the port of the API server",
        hold(6443),
        free(6443),
        4,
        None,
        None,
        None,
        timeout="4s",
    ),
)


def _refused() -> Iterator[Way]:
    # Faults that `check` reports before the start, unless they are ignored.
    for case in CASES:
        if (
            not case.not_in_ways
            and case.check in _FATAL
            and case.end_simulation is nothing
            and not _simulated(case)
        ):
            code = {"administrator": 6, "user": 5}[_BY_CHECK.get(case.id, case.fixable_by)]
            what = f"`{case.id}`, without --ignore: refused by `check`"
            yield Way(
                f"before-{case.id}",
                what,
                case.breaks,
                case.undo,
                code,
                exit_text=None,
                ignore=(),
                machines=case.machines,
            )
    what = "`cgroup-controller`, without --ignore: refused by `check`"
    yield Way(
        "before-cgroup-controller",
        what,
        undelegated,
        delegated,
        6,
        exit_text=None,
        ignore=(),
        machines=VM,
    )


def _simulated(case: Case) -> bool:
    # Controllers of the lab are those of its host: the stand-in simulates a missing one, which
    # `check` cannot see.
    return case.id == "cgroup-controller"


WAYS = (*_known(), *_OWN, *_refused())


def ways(machine: str) -> tuple[Way, ...]:
    """Return the ways that are possible on `lab` or `vm`."""
    return tuple(way for way in WAYS if machine in way.machines)


def run(tool: Tool, way: Way) -> Run:
    """Fail a start in this way; K3s must be installed, and is stopped and fixed afterwards."""
    machine = tool.machine
    machine.user("systemctl", "--user", "stop", UNIT.name)
    machine.user("systemctl", "--user", "reset-failed", UNIT.name)
    timeout = f"{_PATIENCE[machine.name] * int(way.timeout.rstrip('s'))}s"
    before = float(machine.user("date", "+%s.%N").stdout)
    try:
        way.breaks(tool)
        ignored = [word for one in way.ignore for word in ("--ignore", one)]
        found = _up(tool, way, [TOOL, "up", "--json", "--timeout", timeout, *tool.ignore, *ignored])
    finally:
        machine.user("sh", "-c", _STARTED)
        machine.user("systemctl", "--user", "stop", UNIT.name)
        way.undo(tool)
    died = next((event for event in found.events if event["event"] == "exited"), None)
    if died is not None and way.exit_text is not None:
        exited = _exit_time(tool, way.exit_text, before)
        found.delay = _seconds(died["time"]) - exited if exited else None
    return found


def _up(tool: Tool, way: Way, args: list[str]) -> Run:
    events = []
    with tool.machine.popen(*args) as process:
        assert process.stderr
        assert process.stdout
        output = ""
        for line in process.stderr:
            output += line
            with contextlib.suppress(ValueError):
                events.append(json.loads(line))
                if (
                    way.during
                    and events[-1].get("phase") == way.at
                    and events[-1]["event"] == "phase"
                ):
                    way.during(tool)
        document = process.stdout.read()
        code = process.wait()
    assert "Traceback" not in output, output
    return Run(code, json.loads(document), events)


def _exit_time(tool: Tool, text: str, since: float) -> float | None:
    args = ("journalctl", "-q", "-o", "json", f"--since=@{since:.6f}", f"USER_UNIT={UNIT.name}")
    entries = [json.loads(line) for line in tool.machine.root(*args).stdout.splitlines()]
    found = [entry for entry in entries if text in str(entry.get("MESSAGE", ""))]
    if not found:
        return None
    # The time when systemd sent the line, rather than when journald received it.
    return int(found[0].get("_SOURCE_REALTIME_TIMESTAMP") or found[0]["__REALTIME_TIMESTAMP"]) / 1e6


def _seconds(time: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(time).timestamp()


__all__ = ["SERVER", "WAYS", "Run", "Way", "both", "exits_with", "run", "ways"]
