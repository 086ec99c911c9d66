"""Tests of how a start is followed.

Phases, remains of earlier starts, other programs, and a manager that stops meanwhile.
"""

from __future__ import annotations

import json
import re
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from k3s_rootless.operations.readiness.phases import KEYS
from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME, TOOL, UID, Machine
from tests.patience import PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
STATE = HOME / ".rancher/k3s/rootless"
EVENTS = HOME / ".rancher/k3s/standin-events.jsonl"
LEFT = {"child_pid", "api.sock", ".bp.sock", ".bp-ready.pipe"}
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}
STARTS = 20
LOOKS = 10


@dataclass
class Followed:
    """Output and result of one `up --json`."""

    code: int
    document: dict[str, Any]
    events: list[dict[str, Any]]
    text: str

    def phases(self) -> list[str]:
        """Return the phases that were reached, in their order."""
        return [one["phase"] for one in self.events if one["event"] == "phase"]

    def story(self) -> str:
        """Return the other messages."""
        return "\n".join(one["text"] for one in self.events if one["event"] == "notice")


def test_a_node_ready_in_the_previous_start_does_not_count(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK, keep_node=True)
    lab_tool.up().check_returncode()
    time.sleep(1.1)  # the time stamp of a report has whole seconds
    lab_tool.order(**{**QUICK, "node_delay": 3.0}, keep_node=True)

    again = lab_tool("restart")
    log = lab_tool("logs", "--grep", "Successfully registered node").stdout

    assert 0 == again.returncode, again.stderr
    assert 1 == log.count("Successfully registered node"), (
        "K3s was called ready before its kubelet reported"
    )
    document = lab_tool.json("status")
    assert document["ready"]


def follow(
    tool: Tool, *args: str, at: str = "", then: Callable[[Machine], object] | None = None
) -> Followed:
    """Run `up --json`, and call a function when a phase was reached."""
    events, text = [], ""
    with tool.machine.popen(TOOL, "up", "--json", *tool.ignore, *args) as process:
        assert process.stderr
        assert process.stdout
        for line in process.stderr:
            if not line.startswith("{"):
                text += line
                continue
            events.append(json.loads(line))
            if then is not None and events[-1]["event"] == "phase" and events[-1]["phase"] == at:
                then(tool.machine)
        answer = process.stdout.read()
        code = process.wait()
    assert "Traceback" not in text, text
    return Followed(code, json.loads(answer) if answer else {}, events, text)


def milestones(machine: Machine) -> dict[str, float]:
    """Return the times of the milestones of the stand-in's last start, by the machine's clock."""
    events = [json.loads(line) for line in machine.root("cat", str(EVENTS)).stdout.splitlines()]
    return {
        one["event"]: one["time"] for one in events if one["invocation"] == events[-1]["invocation"]
    }


def late(found: Followed, phase: str, truth: float) -> float:
    """Return the delay between a milestone and the report of its phase."""
    from datetime import datetime

    (reported,) = [
        one["time"] for one in found.events if one["event"] == "phase" and one["phase"] == phase
    ]
    return datetime.fromisoformat(reported).timestamp() - truth


def left(machine: Machine) -> set[str]:
    """Return the files in the state directory."""
    return set(machine.user("ls", "-A", str(STATE)).stdout.split())


def kill(machine: Machine) -> None:
    """Kill all of K3s, and keep systemd from starting it again."""
    machine.user("systemctl", "--user", "kill", "--signal=KILL", UNIT.name).check_returncode()
    machine.user("systemctl", "--user", "stop", UNIT.name).check_returncode()


@contextmanager
def running(machine: Machine, unit: str, *command: str, as_root: bool = False) -> Iterator[None]:
    """Run a program as a unit of the user, or of root."""
    run = machine.root if as_root else machine.user
    user = [] if as_root else ["--user"]
    run("systemd-run", *user, "--quiet", f"--unit={unit}", *command).check_returncode()
    try:
        yield
    finally:
        run("systemctl", *user, "stop", unit)


def test_each_phase_is_reported_in_order_with_its_duration(lab_tool: Tool) -> None:
    found = follow(lab_tool, "--wait-for", "deployments")

    assert 0 == found.code, found.text
    assert list(KEYS) == found.phases() == [one["phase"] for one in found.document["phases"]]
    seconds = [one["seconds"] for one in found.document["phases"]]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(
        sum(one["took"] for one in found.document["phases"]), abs=0.02
    )
    assert found.document["ready"]
    assert "" == found.text


def test_a_wait_ends_with_the_requested_phase(lab_tool: Tool) -> None:
    lab_tool.order(delay=3.0)
    found = follow(lab_tool, "--wait-for", "socket")
    lines = lab_tool("restart", "--wait-for", "namespace")

    assert 0 == found.code, found.text
    assert ["unit", "namespace", "socket"] == found.phases()
    assert found.document["ready"] is False
    assert 0 == lines.returncode, lines.stderr
    assert "last phase reached: child namespace" in lines.stdout
    assert re.search(r"^ +\d\.\d s  child namespace \(\d\.\d s\)$", lines.stderr, re.MULTILINE)
    assert 2 == lab_tool.up("--wait-for", "tea").returncode


def test_disabled_deployments_are_not_awaited(lab_tool: Tool) -> None:
    lab_tool.up("--no-wait").check_returncode()
    drop_in = UNIT.with_name(f"{UNIT.name}.d") / "50-test.conf"
    server = (
        "/usr/local/bin/k3s server --rootless --snapshotter=fuse-overlayfs"
        " --disable=traefik,metrics-server"
    )
    lab_tool.machine.user("mkdir", "-p", str(drop_in.parent)).check_returncode()
    lab_tool.machine.user(
        "tee", str(drop_in), stdin=f"[Service]\nExecStart=\nExecStart={server}\n"
    ).check_returncode()
    lab_tool.machine.user("systemctl", "--user", "daemon-reload").check_returncode()

    again = lab_tool("restart", "--wait-for", "deployments")

    assert 0 == again.returncode, again.stderr


def test_phases_are_drawn_on_a_terminal_and_remain_visible(lab_tool: Tool) -> None:
    command = f"{TOOL} up {' '.join(lab_tool.ignore)}"
    drawn = lab_tool.machine.user(
        "script", "-qec", command, "/dev/null", env={"TERM": "xterm", "COLUMNS": "100"}
    ).stdout
    plain = lab_tool.machine.user(
        "script", "-qec", f"{TOOL} restart", "/dev/null", env={"TERM": "dumb"}
    ).stdout

    assert "K3s is ready" in drawn
    assert "\x1b[" in drawn, "it was drawn over"
    last = drawn.rpartition("unit active")[2]
    assert all(
        name in last for name in ("child namespace", "API socket", "API server ready", "node ready")
    )
    assert re.search(r"[-|/\\] \d\.\d s +.*port 6443 forwarded", drawn), (
        "the current phase is shown with its elapsed time"
    )
    assert "\x1b[" not in plain
    assert "node ready (" in plain


def test_files_of_a_killed_k3s_are_removed_before_the_next_start(lab_tool: Tool) -> None:
    machine = lab_tool.machine
    lab_tool.up().check_returncode()
    kill(machine)
    before = left(machine)

    dry = lab_tool.up("--dry-run")
    after_dry = left(machine)
    up = lab_tool.up()

    assert before >= LEFT
    assert before == after_dry
    assert (
        f"remove child_pid, api.sock, .bp.sock, .bp-ready.pipe from {STATE}: a K3s that was killed"
        " left them" in dry.stdout
    )
    assert 0 == up.returncode, up.stderr
    assert "remove child_pid" in up.stderr
    kill(machine)
    again = lab_tool("restart")
    assert 0 == again.returncode, again.stderr
    assert "remove child_pid" in again.stderr


def test_another_k3s_of_the_same_user_is_reported_and_not_stopped(lab_tool: Tool) -> None:
    machine = lab_tool.machine
    lab_tool.up().check_returncode()
    lab_tool("down").check_returncode()
    with running(
        machine,
        "other.service",
        "--property=Delegate=yes",
        "/usr/local/bin/k3s",
        "server",
        "--rootless",
    ):
        assert (
            0
            == machine.user(
                "sh",
                "-c",
                f"for n in $(seq 200); do test -S {STATE}/api.sock && exit; sleep 0.05; done;"
                " false",
            ).returncode
        )
        before = left(machine)
        refused = lab_tool.up()
        after = left(machine)

    assert 5 == refused.returncode
    assert re.search(
        r"another K3s of the same user, \S+ \(PID \d+, other.service\), uses its data"
        rf" \(lock: `{STATE}/lock`\)",
        refused.stderr,
    )
    assert "hint: stop the other K3s: systemctl --user stop other.service" in refused.stderr
    assert before == after
    assert 0 == lab_tool.up().returncode


def test_ports_in_use_are_reported_with_their_process_and_free_ports(lab_tool: Tool) -> None:
    machine = lab_tool.machine
    listen = (
        "import socket, signal; held = [socket.create_server(('', port)) for port in (6443,"
        " 10443)]; signal.pause()"
    )
    with running(machine, "k3s.service", "/usr/bin/python3", "-c", listen, as_root=True):
        assert (
            0
            == machine.user(
                "sh",
                "-c",
                "for n in $(seq 100); do ss -Htln sport = :10443 | grep -q . && exit; sleep 0.05;"
                " done; false",
            ).returncode
        )
        dry_run = (
            lab_tool.up("--dry-run", "--ignore", "net")
            if _checks_ports()
            else lab_tool.up("--dry-run")
        )

    owner = r"a process of user root \(uid 0\); the same user runs K3s \(k3s.service, PID \d+\)"
    assert 0 == dry_run.returncode, dry_run.stderr
    assert re.search(
        rf"port 6443, which K3s needs for its API server, is in use by {owner}", dry_run.stderr
    )
    assert re.search(
        rf"port 10443, which K3s needs for Traefik, is in use by {owner}", dry_run.stderr
    )
    assert (
        "port 6543 is free for the API server: k3s-rootless config set https-listen-port 6543"
        in dry_run.stderr
    )
    assert "8443 instead of 10443" in dry_run.stderr


def test_commands_for_ports_in_use_work_before_the_first_start(lab_tool: Tool) -> None:
    machine = lab_tool.machine
    listen = (
        "import socket, signal; held = [socket.create_server(('', port)) for port in (6443,"
        " 10080)]; signal.pause()"
    )
    lab_tool.order(**QUICK)
    with running(machine, "holder.service", "/usr/bin/python3", "-c", listen):
        wait = (
            "for n in $(seq 100); do ss -Htln sport = :10080 | grep -q . && exit; sleep 0.05; done;"
            " false"
        )
        machine.user("sh", "-c", wait).check_returncode()
        refused = lab_tool.up()
        pasted = re.findall(
            r"k3s-rootless (config set (?:https-listen-port \d+|disable traefik))", refused.stderr
        )
        for command in pasted:
            lab_tool(*command.split()).check_returncode()
        up = lab_tool.up()
        found = lab_tool.json("status")

    assert 5 == refused.returncode
    assert ["config set https-listen-port 6543", "config set disable traefik"] == pasted
    assert 0 == up.returncode, up.stderr
    assert "is in use" not in up.stderr
    assert "port 6543 forwarded" in up.stderr
    assert found["ready"]


def _checks_ports() -> bool:
    from k3s_rootless.preflight.checks.checklist import CHECKS

    return any(check.id.startswith("net.") for check in CHECKS)


def test_a_wait_continues_through_a_re_execution_of_the_user_manager(lab_tool: Tool) -> None:
    lab_tool.order(delay=2.0)
    found = follow(
        lab_tool,
        at="socket",
        then=lambda machine: machine.user(
            "systemctl", "--user", "daemon-reexec"
        ).check_returncode(),
    )

    assert 0 == found.code, (found.text, found.events)
    assert "node" == found.phases()[-1]


def test_a_restart_of_the_user_manager_stops_k3s_and_is_reported(
    lab_tool: Tool,
) -> None:
    machine = lab_tool.machine
    lab_tool.order(delay=4.0)
    found = follow(
        lab_tool,
        at="socket",
        then=lambda machine: machine.root("systemctl", "restart", f"user@{UID}").check_returncode(),
    )

    assert 1 == found.code, (found.text, found.events)
    assert "K3s failed to start" in found.text or "lost the connection" in found.text
    machine.user("systemctl", "--user", "is-system-running", "--wait")
    lab_tool.order()
    assert 0 == lab_tool.up().returncode


def test_an_interrupted_up_reports_that_k3s_keeps_starting(lab_tool: Tool) -> None:
    lab_tool.order(delay=2.0)
    with lab_tool.machine.popen(TOOL, "up", *lab_tool.ignore) as process:
        assert process.stderr
        stderr = ""
        for line in process.stderr:
            stderr += line
            if "API socket" in line:
                process.send_signal(signal.SIGINT)
        code = process.wait()

    assert 130 == code, stderr
    assert "K3s keeps starting" in stderr
    assert "Traceback" not in stderr
    assert 0 == lab_tool.up().returncode


def test_a_restart_loop_is_reported(lab_tool: Tool) -> None:
    machine = lab_tool.machine
    lab_tool.order(
        **QUICK,
        node_ready=False,
        die={"after": 1.5, "message": "failed to find memory cgroup (v2)", "level": "fatal"},
    )
    lab_tool.up("--no-wait").check_returncode()
    loops = f"n=$(systemctl --user show -P NRestarts {UNIT.name}); test $n -ge 2"
    runs = f"systemctl --user show -P SubState {UNIT.name} | grep -q running"
    for _ in range(LOOKS):
        machine.user(
            "sh",
            "-c",
            f"for t in $(seq 900); do {loops} && {runs} && exit; sleep 0.05; done; exit 1",
        ).check_returncode()
        found = follow(lab_tool, "--wait-for", "deployments", "--timeout", "20s")
        # On a slow machine, K3s has exited before `up` looks. Then `up` starts it, and systemd
        # counts from zero.
        if f"start {UNIT.name}" not in found.story():
            break

    assert 1 == found.code, found.events
    assert re.search(
        r"restart loop: systemd restarted K3s \d+ times, about every \d+ s, last at",
        found.text,
    ), found.text
    error = found.document["errors"][0]
    assert "cgroup-controller" == error["cause"]
    assert error["restarts"]["count"] >= 2
    assert 1 < error["restarts"]["period"] < PATIENCE


def test_requested_starts_are_not_limited(lab_tool: Tool) -> None:
    """K3s's unit has StartLimitBurst=3 per minute, which also counts manual starts."""
    lab_tool.order(**QUICK)
    stderr = ""
    for _ in range(4):
        up = lab_tool.up()
        assert 0 == up.returncode, up.stderr
        stderr += up.stderr
        lab_tool("down").check_returncode()

    assert "resetting the start limit of" in stderr


def test_the_notice_about_lingering_precedes_the_start(lab_tool: Tool) -> None:
    lab_tool.machine.root("loginctl", "disable-linger", "alice").check_returncode()
    try:
        found = follow(lab_tool)
    finally:
        lab_tool.machine.root("loginctl", "enable-linger", "alice").check_returncode()
    order = [one.get("text", "") for one in found.events]

    warned = next(
        number
        for number, text in enumerate(order)
        if "K3s stops when your last session ends" in text
    )
    assert warned < next(number for number, text in enumerate(order) if text.startswith("start "))


def test_twenty_starts_are_reported_in_time_and_leave_no_files(lab_tool: Tool) -> None:
    machine = lab_tool.machine
    lab_tool.order(**QUICK)
    follow(lab_tool)
    lab_tool("down").check_returncode()
    before = machine.root(
        "sh", "-c", f"ps -o comm= -u {UID} | sort; ls -A /tmp /run/user/{UID}"
    ).stdout
    delays_by_phase = {"node": [], "deployments": []}  # type: dict[str, list[float]]

    for _ in range(STARTS):
        found = follow(lab_tool, "--wait-for", "deployments")
        assert 0 == found.code, (found.text, found.events)
        truth = milestones(machine)
        delays_by_phase["node"].append(late(found, "node", truth["node-ready"]))
        delays_by_phase["deployments"].append(
            late(found, "deployments", truth["deployments-ready"])
        )
        down = lab_tool("down")
        assert 0 == down.returncode, down.stderr

    after = machine.root(
        "sh", "-c", f"ps -o comm= -u {UID} | sort; ls -A /tmp /run/user/{UID}"
    ).stdout
    assert before == after
    assert set() == left(machine)
    for phase, delays in delays_by_phase.items():
        # The median is used, because a busy machine may be late once.
        assert statistics.median(delays) < 0.25, (phase, sorted(delays))
        assert min(delays) > -0.02, "no phase is reported before it is reached"
