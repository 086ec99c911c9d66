"""Tests of `diagnose` and `logs` beyond the causes of test_causes.py.

Ports in use, restart loops, log files, and lines as they arrive.
"""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator

import pytest

from tests.e2e import fixing
from tests.e2e.causes import Case, broken, exits_with, order, wait
from tests.e2e.conftest import UNIT, Tool
from tests.lab.fixtures import fresh
from tests.machine import HOME, RUNTIME_DIR, TOOL, USER, Machine
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
LOG = f"{HOME}/.rancher/k3s/agent/containerd/containerd.log"
LINES = (
    "journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$(systemctl --user show -P InvocationID"
    f" {UNIT.name})"
)


@pytest.fixture(scope="module")
def installed(lab: Machine) -> Iterator[Tool]:
    """Yield a K3s that was ready once; tests then break and fix it."""
    with fixing.installed(lab) as tool:
        yield tool


@pytest.mark.parametrize("port", [10080, 6443])
def test_a_port_in_use_is_reported_with_its_owner(installed: Tool, port: int) -> None:
    """K3s runs without the forward: `diagnose` reports this although the unit is active.

    When the forward exists, `diagnose` reports no problem.
    """
    machine = installed.machine
    machine.user("systemctl", "--user", "stop", UNIT.name)
    with machine.popen("python3", "-m", "http.server", str(port)) as holder:
        try:
            assert wait(machine, f"ss -Htln sport = :{port} | grep -q .")
            machine.user("systemctl", "--user", "start", UNIT.name)
            assert wait(
                machine, f"{LINES} | grep -q 'listen tcp :{port}: bind: address already in use'"
            )
            done = installed("diagnose", "--json")
        finally:
            holder.kill()

    found = json.loads(done.stdout)
    assert 1 == done.returncode
    assert ("forward-failed", False) == (found["cause"]["id"], found["cause"]["fatal"])
    seen, *more = found["cause"]["seen"]
    # K3s cannot work without its API. For this port, `check` names the owner too, and `diagnose`
    # shows the remedy of `check`.
    assert ("net.port.api" if port == 6443 else "net.port") == found["cause"]["check"]
    assert (port == 6443) == any("is in use by python3 (PID " in one for one in more)
    assert seen.startswith(f"port {port} is in use by python3 (PID ")
    assert re.search(r", [\w.-]+\.(scope|service)\)$", seen)
    assert 0 == installed.up().returncode
    assert wait(machine, f"{LINES} | grep -q 'Bound parent port :{port}'")
    assert 0 == installed("diagnose").returncode


def test_a_masked_unit_is_reported(installed: Tool) -> None:
    machine = installed.machine
    machine.user(
        "sh",
        "-c",
        f"systemctl --user disable --now {UNIT.name}; rm -f {UNIT}; systemctl --user mask"
        f" {UNIT.name}",
    )
    try:
        done = installed("diagnose")
    finally:
        machine.user("systemctl", "--user", "unmask", UNIT.name).check_returncode()

    assert 1 == done.returncode
    assert (
        "cause      the unit is masked, so it cannot be started (unit-masked, check unit.state)"
        in done.stdout
    )
    assert f"$ systemctl --user unmask {UNIT.name}" in done.stdout
    absent = installed("diagnose")
    assert 3 == absent.returncode
    assert "not installed" in absent.stderr
    assert 0 == installed.up().returncode


def test_an_unknown_failure_is_shown_with_the_address_of_the_issues(installed: Tool) -> None:
    message = "starting kubernetes: the moon is in the wrong phase"
    case = Case("unknown", "", exits_with(message), order(), "user")
    with broken(installed, case):
        done = installed("diagnose")
    assert 1 == done.returncode
    assert "cause      unknown; the first fatal line of K3s is:" in done.stdout
    assert message in done.stdout
    assert "https://github.com/k3s-io/k3s/issues" in done.stdout
    assert 0 == installed.up().returncode


def test_a_restart_loop_is_shown_with_its_count_and_period(installed: Tool) -> None:
    """Exits that are too slow for the start limit repeat forever."""
    case = Case(
        "unknown",
        "",
        exits_with("failed to find memory cgroup (v2)", after=0.1),
        order(),
        "administrator",
    )
    machine = installed.machine
    with broken(installed, case):
        assert wait(machine, f'test "$(systemctl --user show -P NRestarts {UNIT.name})" -ge 2')
        unit = json.loads(installed("diagnose", "--json").stdout)["unit"]
    assert unit["restarts"] >= 2
    assert unit["seconds_between_restarts"] > 1
    assert 0 == installed.up().returncode


def test_an_exported_journal_of_another_machine_is_diagnosed(installed: Tool) -> None:
    machine = installed.machine
    with broken(installed, Case("unknown", "", exits_with("got negative mtu"), order(), "user")):
        pass
    for form in ("export", "json"):
        machine.user(
            "sh", "-c", f"journalctl --user-unit={UNIT.name} -o {form} > /tmp/start.{form}"
        ).check_returncode()
        done = installed("diagnose", "--file", f"/tmp/start.{form}", "--json")
        found = json.loads(done.stdout)
        assert (1, "mtu-invalid", None) == (done.returncode, found["cause"]["id"], found["unit"])
    refused = installed("diagnose", "--file", "/usr/bin/true")
    assert 2 == refused.returncode
    assert "the file contains no journal entries" in refused.stderr
    assert 0 == installed.up().returncode


def test_logs_by_start_level_component_and_format(installed: Tool) -> None:
    machine = installed.machine
    assert 0 == installed.up().returncode
    raw = installed("logs", "--raw")
    same = machine.user(
        "sh",
        "-c",
        f"i=$(systemctl --user show -P InvocationID {UNIT.name}); journalctl --no-pager"
        f" --user-unit={UNIT.name} _UID=1500 _SYSTEMD_INVOCATION_ID=$i + _UID=1500"
        " USER_INVOCATION_ID=$i",
    )
    assert same.stdout == raw.stdout
    objects = [
        json.loads(line)
        for line in installed("logs", "--json", "--level", "warning").stdout.splitlines()
    ]
    assert objects
    assert {"warning", "error", "fatal"} >= {one["level"] for one in objects}
    assert "Started" in installed("logs", "--component", "systemd").stdout
    assert 2 == len(installed("logs", "--component", "kubelet", "-n", "2").stdout.splitlines())
    # The starts of earlier tests count against the start limit.
    machine.user("systemctl", "--user", "reset-failed", UNIT.name)
    machine.user("systemctl", "--user", "restart", UNIT.name).check_returncode()
    assert raw.stdout.splitlines()[-1].partition("]: ")[2] in installed("logs", "--previous").stdout
    write_line = 'echo "time=\\"$(date -u +%FT%TZ)\\" level=error msg=\\"no snapshot\\""'
    machine.user("sh", "-c", f"mkdir -p {LOG.rpartition('/')[0]}; {write_line} >> {LOG}")
    assert (
        "no snapshot" in installed("logs", "--component", "containerd", "--level", "error").stdout
    )
    assert "" == installed("logs", "--component", "containerd", "--grep", "overlay").stdout
    # With a pattern, journalctl prints the last matches in reverse order.
    assert wait(machine, f"test $({TOOL} logs --grep 'Bound parent port' | wc -l) -gt 2")
    bound = installed("logs", "--grep", "Bound parent port").stdout.splitlines()
    assert (
        bound[-2:]
        == installed("logs", "--grep", "Bound parent port", "-n", "2").stdout.splitlines()
    )
    closed = machine.user("sh", "-c", f"{TOOL} logs --boot | head -1")
    assert (1, "") == (len(closed.stdout.splitlines()), closed.stderr)


@pytest.fixture
def volatile(installed: Tool) -> Iterator[Tool]:
    """Yield a K3s on a host that keeps its journal in memory.

    journald then writes no separate files for users.
    """
    root = installed.machine.root
    configuration = "/run/systemd/journald.conf.d/volatile.conf"
    script = (
        f"mkdir -p {configuration.rpartition('/')[0]}; printf '[Journal]\\nStorage=volatile\\n' >"
        f" {configuration}"
    )
    root(
        "sh",
        "-c",
        f"{script}; mount -t tmpfs tmpfs /var/log/journal; systemctl restart systemd-journald",
    ).check_returncode()
    try:
        assert 0 == installed("restart").returncode
        yield installed
    finally:
        root("gpasswd", "--delete", USER, "systemd-journal")
        restored = (
            f"umount /var/log/journal; rm {configuration}; systemctl restart systemd-journald"
        )
        root("sh", "-c", f"{restored}; journalctl --flush").check_returncode()
        # The lines from memory are now in the system journal, where the user cannot read earlier
        # starts.
        assert 0 == installed("restart").returncode


def test_a_volatile_journal_is_read_if_the_user_has_access(volatile: Tool) -> None:
    """For such a journal, `journalctl --user` shows nothing to any user.

    The tool prints how to get access, and shows all lines once access is granted.
    """
    machine = volatile.machine
    refused, diagnosed = volatile("logs"), volatile("diagnose")
    machine.root("usermod", "--append", "--groups", "systemd-journal", USER).check_returncode()
    script = f"journalctl --quiet --user --unit={UNIT.name}; echo; {TOOL} logs"
    as_member = (
        "runuser",
        "--user",
        USER,
        "--",
        "env",
        f"XDG_RUNTIME_DIR={RUNTIME_DIR}",
        "sh",
        "-c",
        script,
    )
    plain, ours = machine.root(*as_member).stdout.split("\n", 1)

    assert (1, "") == (refused.returncode, refused.stdout)
    assert "cannot read the journal: permission denied" in refused.stderr
    assert "usermod -aG systemd-journal" in refused.stderr
    assert (0, "no problem found: K3s is ready\n") == (diagnosed.returncode, diagnosed.stdout)
    assert "permission denied; using only the state that systemd reports" in diagnosed.stderr
    assert "" == plain
    assert "k3s is up and running" in ours


def test_followed_lines_arrive_immediately_until_an_interrupt(installed: Tool) -> None:
    machine = installed.machine
    assert 0 == installed.up().returncode
    with machine.popen(TOOL, "logs", "-f", "-n", "1") as following:
        assert following.stdout is not None
        following.stdout.readline()
        begun = time.monotonic()
        machine.user("systemctl", "--user", "restart", UNIT.name)
        assert following.stdout.readline()
        assert time.monotonic() - begun < PATIENCE
        # It continues with the next start.
        assert any("Starting k3s" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        assert 130 == following.wait(PATIENCE)


# Follows the journal of the unit with journalctl and with our command, writes marks into it, and
# prints the marks that each received.
FOLLOWED = """
import json, os, subprocess, sys, threading, time
seen = {"journalctl": [], "ours": []}
def follow(name, *command):
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True)
    def read():
        for line in process.stdout:
            found = line.find("mark-")
            if found >= 0:
                seen[name].append(line[found : found + 8])
    threading.Thread(target=read, daemon=True).start()
    return process
unit, tool = sys.argv[1:]
plain = follow("journalctl", "journalctl", "--follow", "--lines=0", f"--user-unit={unit}")
ours = follow("ours", tool, "logs", "--follow", "--lines=0", "--since=now")
pipe = os.open(os.path.expanduser("~/marks"), os.O_WRONLY)
def write(number):
    os.write(pipe, f"mark-{number:03}\\n".encode())
def wait(condition):
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
number = 0
while not all(seen.values()) and number < 300:  # until both follow
    write(number)
    number += 1
    time.sleep(0.3)
first = number
for number in range(first, first + 20):
    write(number)
last = f"mark-{number:03}"
wait(lambda: all(last in marks for marks in seen.values()))
plain.kill(), ours.terminate()
begin = f"mark-{first:03}"
print(json.dumps([[mark for mark in marks if mark >= begin] for marks in seen.values()]))
"""


def test_followed_lines_are_the_same_as_those_of_journalctl(lab: Machine) -> None:
    """The test runs while the unit is active, and does not wait for the end of the start."""
    fresh(lab)
    lab.user("sh", "-c", "rm -f ~/marks; mkfifo ~/marks").check_returncode()
    reader = ("sh", "-c", "while :; do cat ~/marks; done")
    lab.user("systemd-run", "--user", "--quiet", f"--unit={UNIT.name}", *reader).check_returncode()
    try:
        done = lab.user("python3", "-c", FOLLOWED, UNIT.name, TOOL)
    finally:
        fresh(lab)
    plain, ours = json.loads(done.stdout)

    assert 20 == len(plain)
    assert plain == ours
