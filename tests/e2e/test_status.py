"""Tests of `status` for a real K3s, and with an API server, a bus and a journal that hang."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.e2e import peers
from tests.e2e.conftest import UNIT, Tool
from tests.lines import reading
from tests.machine import HOME
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
SCHEMA = json.loads(
    (Path(__file__).parents[2] / "docs/reference/schemas/status-v1.json").read_text("utf-8")
)
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}
DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "50-test.conf"
LINES = 25_000
_WRITER = f"""
for n in range({LINES}):
    print(f'I1123 21:35:11.953595      21 shared_informer.go:240] '
          f'Waiting for caches to sync for node_authorizer, turn {{n}}')
raise SystemExit(1)
"""


def systemctl(tool: Tool, *args: str) -> None:
    tool.machine.user("systemctl", "--user", *args).check_returncode()


def status(tool: Tool) -> tuple[int, Any, str]:
    """Run `status --json`, and check its document with the schema.

    The test fails if the command hangs.
    """
    done = tool("status", "--json", timeout=PATIENCE)
    code, out, err = done.returncode, done.stdout, done.stderr
    assert "Traceback" not in err, err
    found = json.loads(out)
    jsonschema.validate(found, SCHEMA)
    return code, found, err


def unknown(found: Any) -> dict[str, str]:
    return {one["part"]: one["reason"] for one in found["unknown"]}


def test_a_ready_k3s_fits_on_one_screen(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    code, found, _ = status(lab_tool)

    assert (0, "ready", True, {}) == (code, found["state"], found["ready"], unknown(found))
    assert {"v1.33.4+k3s1"} == set(found["releases"].values())
    assert ([], None, None, True) == (
        found["pending"],
        found["loop"],
        found["cause"],
        found["lingers"],
    )
    assert ["ours"] == [one["author"] for one in found["drift"]]
    assert found["forwards"] == len(lab_tool.json("ports")["ports"])
    assert ("0600", True) == (found["kubeconfig"]["mode"], found["kubeconfig"]["of_this_start"])
    assert [("client", False), ("server", False)] == [
        (one["of"], one["expired"]) for one in found["certificates"]
    ]
    assert found["unit"]["cpu_seconds"] > 0
    assert not lab_tool.machine.delegates or found["unit"]["memory_bytes"] > 2**20

    output = lab_tool("status").stdout
    labels = [line.split()[0] for line in output.splitlines()]
    expected = [
        "K3s",
        "unit",
        "restarts",
        "release",
        "start",
        "node",
        "memory",
        "cpu",
        "forwards",
        "kubeconfig",
        "certificates",
        "linger",
    ]
    assert labels == [
        label for label in expected if label != "memory" or lab_tool.machine.delegates
    ]
    assert len(output.splitlines()) <= 24


def test_the_phases_have_the_times_of_the_events(lab_tool: Tool) -> None:
    """The stand-in records its events; `status` sees only files and the reply of the node."""
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    events = lab_tool.machine.user("cat", str(HOME / ".rancher/k3s/standin-events.jsonl")).stdout
    happened = {one["event"]: one["time"] for one in map(json.loads, events.splitlines())}
    _, found, _ = status(lab_tool)

    phases = {one["phase"]: one for one in found["phases"]}
    began = happened["parent-started"] - phases["started by systemd"]["seconds"]
    assert all(one["seconds"] is not None and one["seconds"] >= 0 for one in phases.values()), (
        phases
    )
    for phase, event, grain in (
        ("kubeconfig written", "kubeconfig", 0.3),
        ("node ready", "node-ready", 1.3),
    ):
        # systemd starts the program some time before the program can write a record.
        assert abs(phases[phase]["seconds"] - (happened[event] - began)) < grain + 1.0, (
            phase,
            phases,
            happened,
        )


def test_a_frozen_api_server_is_not_ready_and_other_parts_are_shown(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK, freeze_after=3)
    lab_tool.up().check_returncode()
    peers.until(
        lambda: (
            "frozen"
            in lab_tool.machine.user("cat", str(HOME / ".rancher/k3s/standin-events.jsonl")).stdout
        )
    )
    try:
        code, found, _ = status(lab_tool)
    finally:
        lab_tool.machine.user("systemctl", "--user", "kill", "-s", "KILL", UNIT.name)

    assert (4, "running, not ready", False) == (code, found["state"], found["ready"])
    assert "API server ready" == found["missing"]["phase"]
    # The limit of the request, or that of the whole query, comes first.
    assert re.search("no answer within|did not answer in time", found["missing"]["reason"])
    assert {"API server", "node"} == set(unknown(found))
    assert found["forwards"] >= 1
    assert ["client"] == [one["of"] for one in found["certificates"]]
    assert found["node"] is None


@contextlib.contextmanager
def silent_bus(tool: Tool) -> Iterator[None]:
    find = "systemctl --user show -P MainPID dbus.service"
    process = tool.machine.user("sh", "-c", find).stdout.strip()
    tool.machine.root("kill", "-STOP", process).check_returncode()
    try:
        yield
    finally:
        tool.machine.root("kill", "-CONT", process).check_returncode()


def test_parts_of_k3s_itself_are_shown_while_the_bus_is_silent(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    with silent_bus(lab_tool):
        code, found, err = status(lab_tool)
        text = lab_tool("status").stdout

    assert (1, "unknown", None, True) == (code, found["state"], found["ready"], found["running"])
    assert err.startswith("error: cannot query the user manager: no answer within")
    assert {"unit", "installed release"} == set(unknown(found))
    assert found["unit"] is None
    assert (5, "lab", "v1.33.4+k3s1") == (
        found["forwards"],
        found["node"],
        found["releases"]["running"],
    )
    assert found["child_pid"] in map(
        int, lab_tool.machine.user("pgrep", "-u", "alice").stdout.split()
    )
    assert "processes    rootlesskit is running; its child is PID " in text
    assert "cpu " in text
    assert 0 == status(lab_tool)[0]


def test_reading_a_long_journal_ends_in_time(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    systemctl(lab_tool, "stop", UNIT.name)
    lab_tool.machine.user("tee", "/tmp/writer.py", stdin=_WRITER).check_returncode()
    drop_in(lab_tool, "Restart=no", "ExecStart=", "ExecStart=/usr/bin/python3 /tmp/writer.py")
    systemctl(lab_tool, "start", UNIT.name)
    peers.until(
        lambda: (
            "failed" in lab_tool.machine.user("systemctl", "--user", "is-active", UNIT.name).stdout
        )
    )
    lab_tool.machine.root("journalctl", "--sync").check_returncode()
    code, found, _ = status(lab_tool)

    assert (1, "failed", 0) == (code, found["state"], found["unit"]["restarts"])
    assert ["ours", "foreign"] == [one["author"] for one in found["drift"]]
    # A fast machine reads the journal in time, and finds that K3s logged nothing about its end.
    assert unknown(found) in ({}, {"cause": "the journal did not answer in time"})
    assert "" == lab_tool.machine.user("pgrep", "-x", "journalctl").stdout


def test_other_parts_are_shown_if_the_journal_cannot_be_read(lab_tool: Tool) -> None:
    machine = lab_tool.machine
    lab_tool.order(
        **QUICK,
        node_ready=False,
        die={"after": 0.5, "message": "failed to find cpuset cgroup (v2)"},
    )
    machine.root("chmod", "700", "/var/log/journal").check_returncode()
    try:
        died = lab_tool.up()
        peers.until(
            lambda: "failed" in machine.user("systemctl", "--user", "is-failed", UNIT.name).stdout,
            60,
        )
        code, found, _ = status(lab_tool)
    finally:
        machine.root("chmod", "755", "/var/log/journal").check_returncode()

    assert 1 == died.returncode, died.stdout
    assert "cannot read the journal: permission denied" in died.stderr
    assert "systemd reports the result `exit-code`" in died.stderr
    assert (1, "failed") == (code, found["state"])
    assert {"cause": "cannot read the journal: permission denied"} == unknown(found)
    assert found["loop"]["over"]


def test_a_panic_of_25000_lines_is_reported_quickly(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK, panic=LINES, panic_after=0.2)
    lab_tool.up("--no-wait").check_returncode()
    peers.until(lambda: status(lab_tool)[1]["cause"] is not None, 30)
    code, found, _ = status(lab_tool)

    # By then systemd may have started it again: 4 as long as that start lives.
    assert (True, "panic") == (code in {1, 4}, found["cause"]["id"])


def test_a_restart_loop_is_reported_also_after_it_has_ended(lab_tool: Tool) -> None:
    slow = {"after": 0.5, "message": "failed to find cpuset cgroup (v2)"}
    lab_tool.order(**QUICK, die=slow)
    lab_tool.up("--no-wait")
    drop_in(lab_tool, "RestartSec=1", unit="StartLimitIntervalSec=0")
    loops: list[Any] = []
    peers.until(lambda: is_complete(lab_tool, loops), 60)
    found = loops[-1]
    peers.until(lambda: ", restart loop, every " in lab_tool("status").stdout, 20)

    assert not found["loop"]["over"]
    assert found["loop"]["restarts"] >= 3
    assert 1 < found["loop"]["seconds_between_restarts"] < 30
    assert "cpuset" in found["cause"]["title"]
    peers.until(lambda: "how to fix it: k3s-rootless diagnose" in lab_tool("status").stdout, 20)

    drop_in(lab_tool, unit="StartLimitIntervalSec=1h\nStartLimitBurst=1")
    peers.until(lambda: "failed" == status(lab_tool)[1]["unit"]["active_state"], 40)
    code, found, _ = status(lab_tool)

    assert (1, True) == (code, found["loop"]["over"])
    output = lab_tool("status").stdout
    assert ", restart loop" in output
    assert "; systemd no longer restarts K3s" in output


def is_complete(tool: Tool, loops: list[Any]) -> bool:
    """Look until the journal answers in time and has the exits.

    It can be slow, and drops lines after the panics above.
    """
    found = status(tool)[1]
    loops.append(found)
    loop = found["loop"]
    return bool(
        loop and loop["restarts"] >= 3 and loop["seconds_between_restarts"] and found["cause"]
    )


def test_a_delayed_journal_does_not_attribute_the_cause_of_an_earlier_start(lab_tool: Tool) -> None:
    machine = lab_tool.machine
    lab_tool.order(**QUICK, panic=5, panic_after=0.2)
    assert "panic" in lab_tool.up().stderr
    lab_tool("down").check_returncode()
    journald = machine.root(
        "systemctl", "show", "--value", "--property=MainPID", "systemd-journald"
    ).stdout.strip()
    lab_tool.order(
        **QUICK,
        node_ready=False,
        die={"after": 1.5, "message": "failed to find cpuset cgroup (v2)"},
    )
    machine.root("kill", "-STOP", journald).check_returncode()
    try:
        drop_in(lab_tool, "RestartSec=2", unit="StartLimitIntervalSec=0")
        died = lab_tool.up()
        causes = {cause_in(lab_tool, state) for state in ("running", "auto-restart")}
        peers.until(
            lambda: "the journal contains no line of this start" in lab_tool("diagnose").stderr, 30
        )
    finally:
        machine.root("kill", "-CONT", journald).check_returncode()
    peers.until(lambda: "cpuset" in cause_in(lab_tool, "auto-restart"), 30)

    assert 1 == died.returncode, died.stdout
    assert "panic" not in died.stderr
    assert {""} == causes


def cause_in(tool: Tool, state: str) -> str:
    """Return the title of the reported cause while the restarted unit is in this state.

    The text is empty if no cause is reported.
    """
    seen: list[Any] = []

    def has_restarted() -> bool:
        seen.append(status(tool)[1])
        unit = seen[-1]["unit"]
        return bool(unit["restarts"] and unit["sub_state"] == state)

    peers.until(has_restarted, 60)
    return str((seen[-1]["cause"] or {"title": ""})["title"])


def drop_in(tool: Tool, *lines: str, unit: str = "") -> None:
    text = "\n".join(("[Unit]", unit, "[Service]", *lines, ""))
    tool.machine.user("mkdir", "-p", str(DROP_IN.parent)).check_returncode()
    tool.machine.user("tee", str(DROP_IN), stdin=text).check_returncode()
    systemctl(tool, "daemon-reload")


def test_drift_and_pending_changes_are_shown(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    time.sleep(1.1)
    tool = lab_tool.machine
    tool.user(
        "sh",
        "-c",
        f"echo '# mine' >> {UNIT}; mkdir -p {DROP_IN.parent}; echo '[Service]' > {DROP_IN}",
    ).check_returncode()
    _, found, _ = status(lab_tool)
    assert ["reload", "restart"] == [one["what"] for one in found["pending"]]
    assert "edited" == found["drift"][0]["author"]

    systemctl(lab_tool, "daemon-reload")
    _, found, _ = status(lab_tool)
    assert {"restart"} == {one["what"] for one in found["pending"]}
    assert ["edited", "foreign"] == [one["author"] for one in found["drift"]]
    output = lab_tool("status").stdout
    assert f"drift        `{UNIT}` was written by k3s-rootless and edited since" in output
    assert (
        f"pending      restart required: the running K3s was started before `{DROP_IN}` was"
        " written; apply it with: k3s-rootless restart" in output
    )

    systemctl(lab_tool, "restart", UNIT.name)
    peers.until(lambda: status(lab_tool)[0] == 0, 20)
    assert [] == status(lab_tool)[1]["pending"]


def test_different_releases_are_shown(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    lab_tool.order(**QUICK, version="v1.34.3+k3s3")
    lab_tool.machine.root("touch", "/usr/local/bin/k3s").check_returncode()
    line = (
        "release      running v1.33.4+k3s1, installed v1.34.3+k3s3, unit written for v1.33.4+k3s1"
    )
    # The stand-in prints its version slowly while other tests run.
    peers.until(lambda: line in lab_tool("status").stdout, 20)
    found: Any = {}
    peers.until(lambda: found.update(status(lab_tool)[1]) or found["releases"]["installed"], 20)

    assert {
        "unit": "v1.33.4+k3s1",
        "installed": "v1.34.3+k3s3",
        "running": "v1.33.4+k3s1",
    } == found["releases"]
    assert ["K3s v1.33.4+k3s1 is running, but v1.34.3+k3s3 is installed"] == [
        one["cause"] for one in found["pending"]
    ]


def test_the_exit_code_of_a_stopped_or_absent_unit_is_3(lab_tool: Tool) -> None:
    assert 3 == lab_tool("status").returncode
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    lab_tool("down").check_returncode()
    code, found, _ = status(lab_tool)

    assert (3, "not running", False, {}) == (code, found["state"], found["ready"], unknown(found))
    assert (None, None, True) == (
        found["forwards"],
        found["node"],
        found["kubeconfig"]["of_this_start"],
    )


def test_watch_continues_through_restarts_of_k3s_and_of_the_user_manager(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    machine = lab_tool.machine
    with machine.popen("k3s-rootless", "status", "--watch") as process, reading(process) as lines:
        lines.wait_for("K3s: ready")
        sizes = []
        for turn in range(8):
            systemctl(lab_tool, "reset-failed", UNIT.name)
            systemctl(lab_tool, "stop", UNIT.name)
            lines.wait_for("K3s: not running")
            systemctl(lab_tool, "start", UNIT.name)
            lines.wait_for("K3s: ready")
            if turn in {3, 7}:
                time.sleep(1)
                sizes.append(size(lab_tool))
        systemctl(lab_tool, "daemon-reexec")
        systemctl(lab_tool, "stop", UNIT.name)
        lines.wait_for("K3s: not running")
        machine.root("systemctl", "restart", "user@1500.service").check_returncode()
        lines.wait_for("K3s: unknown")
        lines.wait_for("K3s: ready")
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(PATIENCE)
        assert process.stderr
        output = process.stderr.read()
    assert "lost the connection to the user manager: " in output
    assert "reconnected to the user manager" in output
    assert "Traceback" not in output
    (memory, files), (later, more_files) = sizes
    assert files == more_files
    assert later - memory < 1024, sizes


def size(tool: Tool) -> tuple[int, int]:
    """Return the resident memory of the watch in KiB, and its numbers of files and threads."""
    look = (
        "p=$(pgrep -f 'status --watch' | head -1); grep VmRSS /proc/$p/status | tr -dc 0-9; echo;"
        " ls /proc/$p/fd /proc/$p/task"
    )
    memory, *both = tool.machine.user("sh", "-c", look).stdout.split()
    return int(memory), len(both)


def test_watch_redraws_one_screen_on_a_terminal(lab_tool: Tool) -> None:
    lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    script = "timeout -s INT 4 k3s-rootless status --watch; echo ended $?"
    done = lab_tool.machine.user(
        "script", "-qec", script, "/dev/null", env={"TERM": "xterm", "COLUMNS": "100"}
    )

    assert "ended 124" in done.stdout or "ended 130" in done.stdout
    assert done.stdout.count("K3s          ready") >= 2
    assert "\x1b[" in done.stdout
    assert "Traceback" not in done.stdout
