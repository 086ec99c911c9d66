"""Causes brought about for real: `diagnose` names each at the first answer, its remedy is followed, and `up` is ready again."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.life.conftest import K3S, UNIT, Tool
from tests.machine import HOME, TOOL, Machine

pytestmark = pytest.mark.lab
DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "50-test.conf"
LOG = f"{HOME}/.rancher/k3s/agent/containerd/containerd.log"
LINES = f"journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$(systemctl --user show -P InvocationID {UNIT.name})"
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}
_SWITCH = "/proc/sys"
Step = Callable[[Tool], None]


@dataclass(frozen=True)
class Case:
    """What is broken how, what must be said of it, and how an administrator or the user follows the remedy."""

    id: str
    breaks: Step
    mends: Step
    mender: str
    check: str | None = None
    words: str = ""
    seen: str = ""
    ignore: tuple[str, ...] = ()


def root(*scripts: str) -> Step:
    def step(tool: Tool) -> None:
        for script in scripts:
            done = tool.machine.root("sh", "-c", script)
            assert 0 == done.returncode, (script, done.stderr)

    return step


def drop_in(*lines: str) -> Step:
    def step(tool: Tool) -> None:
        text = "\n".join(("[Service]", *lines, ""))
        tool.machine.user("mkdir", "-p", str(DROP_IN.parent)).check_returncode()
        tool.machine.user("tee", str(DROP_IN), stdin=text).check_returncode()
        tool.machine.user("systemctl", "--user", "daemon-reload").check_returncode()

    return step


def without_drop_in(tool: Tool) -> None:
    tool.machine.user("rm", "-rf", str(DROP_IN.parent)).check_returncode()
    tool.machine.user("systemctl", "--user", "daemon-reload").check_returncode()


def order(**orders: object) -> Step:
    return lambda tool: tool.order(**QUICK, **orders)


def dies(words: str, **more: object) -> Step:
    return order(die={"after": 0.2, "message": words, "level": "fatal", **more})


def sysctl(key: str, value: str) -> Step:
    return root(f"echo {value} > {_SWITCH}/{key.replace('.', '/')}")


def both(*steps: Step) -> Step:
    def step(tool: Tool) -> None:
        for one in steps:
            one(tool)

    return step


AWAY = "mv /usr/bin/{0} /usr/bin/{0}.away"
BACK = "mv /usr/bin/{0}.away /usr/bin/{0}"
MOUNT = "program=$(command -v mount.fuse3) && mv $program $program.away"
UNMOUNT = (
    "for place in /usr/sbin /sbin /usr/bin; do program=$place/mount.fuse3; "
    "test ! -e $program.away || mv $program.away $program; done"
)
CONFIG = "/etc/rancher/k3s/config.yaml"
SERVER = f"ExecStart=\nExecStart={K3S} server --rootless --snapshotter=fuse-overlayfs"
CASES = (
    Case(
        "ip-forward",
        sysctl("net.ipv4.ip_forward", "0"),
        sysctl("net.ipv4.ip_forward", "1"),
        "administrator",
        "sysctl.ip_forward",
        "net.ipv4.ip_forward is 0",
        ignore=("sysctl",),
    ),
    Case(
        "idmap-missing",
        root(AWAY.format("newuidmap")),
        root(BACK.format("newuidmap")),
        "administrator",
        "uidmap.newuidmap",
        "newuidmap is not on the unit's PATH",
        "newuidmap is nowhere on the unit's PATH",
        ("uidmap",),
    ),
    Case(
        "idmap-powerless",
        root("chmod u-s /usr/bin/newuidmap; setcap -r /usr/bin/newuidmap 2>/dev/null || true"),
        root("chown root:root /usr/bin/newuidmap", "chmod u+s /usr/bin/newuidmap"),
        "administrator",
        "uidmap.newuidmap",
        ignore=("uidmap",),
    ),
    Case(
        "subid-missing",
        root("cp /etc/subuid /etc/subuid.kept", "sed -i /^alice:/d /etc/subuid"),
        root("mv /etc/subuid.kept /etc/subuid"),
        "administrator",
        "subid.subuid",
        "no subuid range for alice",
        ignore=("subid",),
    ),
    Case(
        "subid-overlap",
        root("cp /etc/subuid /etc/subuid.kept", "echo alice:100100:65536 >> /etc/subuid"),
        root("mv /etc/subuid.kept /etc/subuid"),
        "administrator",
        "subid.subuid",
        "overlap",
        ignore=("subid",),
    ),
    Case(
        "userns-max",
        # The lab shares this switch with its host, and cannot write it: the words, and a host that was mended since.
        dies("failed to start the child: fork/exec /proc/self/exe: no space left on device", where="parent"),
        order(),
        "user",
        "userns.max",
        seen="finds nothing wrong now",
    ),
    Case(
        "tun",
        root("chmod 600 /dev/net/tun"),
        root("chmod 666 /dev/net/tun"),
        "administrator",
        "device.tun",
        seen="permission denied",
    ),
    Case(
        "slirp4netns-missing",
        drop_in("Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/nowhere"),
        without_drop_in,
        "administrator",
        seen="50-test.conf",
    ),
    Case(
        "cidr-invalid",
        drop_in("Environment=K3S_ROOTLESS_CIDR=10.41.0.0"),
        without_drop_in,
        "user",
        "env.valid",
        words="10.41.0.0 is no network",
        seen="the unit sets K3S_ROOTLESS_CIDR=10.41.0.0",
    ),
    Case(
        "mtu-invalid",
        drop_in("Environment=K3S_ROOTLESS_MTU=-5"),
        without_drop_in,
        "user",
        "env.valid",
        seen="K3S_ROOTLESS_MTU=-5",
    ),
    Case(
        "copyup-invalid",
        drop_in("Environment=K3S_ROOTLESS_COPYUPDIRS=/nowhere"),
        without_drop_in,
        "user",
        words="/nowhere",
        seen="K3S_ROOTLESS_COPYUPDIRS=/nowhere",
    ),
    Case(
        "config-unreadable",
        root(f"mkdir -p {CONFIG.rpartition('/')[0]}", f"echo 'debug: true' > {CONFIG}", f"chmod 600 {CONFIG}"),
        root(f"rm {CONFIG}"),
        "user",
        "config.readable",
        words=f"{CONFIG} is there",
        seen="permission denied",
        ignore=("k3s.version",),
    ),
    Case("flag-unknown", drop_in(f"{SERVER} --no-such-flag"), without_drop_in, "user", words="-no-such-flag"),
    Case(
        "exec-failed",
        drop_in(SERVER.replace(K3S, "/nowhere/k3s")),
        without_drop_in,
        "user",
        "k3s.binary",
        "/nowhere/k3s",
        "/nowhere/k3s: no such file or directory",
    ),
    Case(
        "snapshotter-fuse",
        root(MOUNT),
        root(UNMOUNT),
        "administrator",
        "snapshotter.mount_fuse3",
        words="mount.fuse3 is missing",
        seen="mount.fuse3 is nowhere on the unit's PATH",
    ),
    Case("snapshotter-fuse", root("chmod 600 /dev/fuse"), root("chmod 666 /dev/fuse"), "administrator", seen="/dev/fuse: perm"),
    Case(
        "cgroup-evacuation",
        order(version="v1.34.4+k3s1"),
        order(),
        "user",
        "k3s.version",
        ignore=("k3s.version",),
    ),
    Case("panic", order(panic=20_000, panic_after=0.2), order(), "user", words="nil pointer dereference"),
    Case(
        "unit-not-delegating",
        both(drop_in("Delegate=no"), dies("delegated cgroup v2 controllers are required for rootless")),
        both(without_drop_in, order()),
        "user",
        "unit.state",
        seen="50-test.conf",
    ),
    Case("datastore-token", dies("bootstrap data already found and encrypted with different token"), order(), "user"),
    Case(
        "supervisor-port",
        dies("Error starting load balancer: listen tcp 127.0.0.1:6444: bind: address already in use"),
        order(),
        "user",
        seen="nobody holds port 6444",
    ),
    Case("exit-chdir", drop_in("WorkingDirectory=/nowhere"), without_drop_in, "user", words="200/CHDIR"),
    Case(
        "exit-capabilities",
        drop_in("CapabilityBoundingSet=CAP_CHOWN", "AmbientCapabilities=CAP_CHOWN"),
        without_drop_in,
        "user",
    ),
    Case(
        "killed-by-memory",
        both(),
        both(),
        "administrator",
        words="SIGKILL",
    ),
    Case("cgroup-controller", dies("failed to find cpuset cgroup (v2)"), order(), "administrator", "cgroup.delegation.cpuset"),
)


@pytest.fixture(scope="module")
def installed(lab: Machine) -> Iterator[Tool]:
    """Give a K3s that came up once, and is broken and mended from then on."""
    from tests.lab.fixtures import fresh

    fresh(lab)
    lab.root("sysctl", "-w", "net.ipv4.ip_forward=1")
    tool = Tool(lab)
    order()(tool)
    tool.up().check_returncode()
    yield tool
    fresh(lab)


def wait(machine: Machine, condition: str) -> bool:
    """Wait for a condition of the shell, for ten seconds at most."""
    return (
        machine.user("sh", "-c", f"for turn in $(seq 100); do {condition} && exit 0; sleep 0.1; done; exit 1").returncode == 0
    )


def start(tool: Tool, case: Case) -> None:
    """Start K3s as it is broken, and wait until it is known to have failed, or to wait for what it lacks."""
    machine = tool.machine
    machine.user("systemctl", "--user", "stop", UNIT.name)
    machine.user("systemctl", "--user", "reset-failed", UNIT.name)
    case.breaks(tool)
    machine.user("systemctl", "--user", "start", UNIT.name)
    if case.id == "killed-by-memory":
        machine.user("systemctl", "--user", "kill", "--signal=KILL", UNIT.name).check_returncode()
    show = f"systemctl --user show -P SubState -P Result {UNIT.name} | tr '\\n' ' '"
    slow = case.id == "snapshotter-fuse"
    waits = f"{LINES} | grep -q 'snapshotter cannot be enabled'" if slow else "false"
    # A unit that is started again has the result of its last start: whatever is no success has died.
    ended = f'case "$({show})" in *auto-restart*|*failed*|exit-code*|signal*) exit 0;; esac'
    script = f"for turn in $(seq 100); do {ended}; {waits} && exit 0; sleep 0.05; done; exit 1"
    assert 0 == machine.user("sh", "-c", script).returncode, f"{case.id}: K3s did not fail"


@contextmanager
def broken(tool: Tool, case: Case) -> Iterator[Any]:
    try:
        start(tool, case)
        done = tool("diagnose", "--json")
        yield done
    finally:
        case.mends(tool)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_cause_is_told_at_the_first_answer_and_its_remedy_mends_it(installed: Tool, case: Case) -> None:
    with broken(installed, case) as done:
        found = json.loads(done.stdout)

    assert 1 == done.returncode, done.stderr
    cause = found["cause"]
    assert cause is not None
    assert (case.id, case.mender) == (cause["id"], cause["remedy"]["mender"]), cause
    assert case.check is None or case.check == cause["check"]
    assert case.words in cause["title"]
    assert case.seen in "; ".join(cause["seen"])
    up = installed.up()
    assert 0 == up.returncode, up.stderr
    well = installed("diagnose")
    assert (0, "nothing is wrong: K3s is ready\n") == (well.returncode, well.stdout)


@pytest.mark.parametrize("port", [10080, 6443])
def test_a_busy_port_is_told_with_who_holds_it(installed: Tool, port: int) -> None:
    """K3s runs on without the forward; `diagnose` says so although the unit is well, and is content when it was made."""
    machine = installed.machine
    machine.user("systemctl", "--user", "stop", UNIT.name)
    with machine.popen("python3", "-m", "http.server", str(port)) as holder:
        try:
            assert wait(machine, f"ss -Htln sport = :{port} | grep -q .")
            machine.user("systemctl", "--user", "start", UNIT.name)
            assert wait(machine, f"{LINES} | grep -q 'listen tcp :{port}: bind: address already in use'")
            done = installed("diagnose", "--json")
        finally:
            holder.kill()

    found = json.loads(done.stdout)
    assert 1 == done.returncode
    assert ("forward-failed", False) == (found["cause"]["id"], found["cause"]["fatal"])
    assert f"port {port} is held by a program of yours" == found["cause"]["seen"][0]
    # Without its API K3s is no use to anybody: there `check` names the program, and its remedy is the one that is told.
    assert ("net.port.api" if port == 6443 else "net.port") == found["cause"]["check"]
    assert (port == 6443) == any("held by python3 (pid " in one for one in found["cause"]["seen"])
    assert 0 == installed.up().returncode
    assert wait(machine, f"{LINES} | grep -q 'Bound parent port :{port}'")
    assert 0 == installed("diagnose").returncode


def test_a_masked_unit_is_told(installed: Tool) -> None:
    machine = installed.machine
    machine.user("sh", "-c", f"systemctl --user disable --now {UNIT.name}; rm -f {UNIT}; systemctl --user mask {UNIT.name}")
    try:
        done = installed("diagnose")
    finally:
        machine.user("systemctl", "--user", "unmask", UNIT.name).check_returncode()

    assert 1 == done.returncode
    assert "cause      the unit is masked, so nothing can start it (unit-masked, check unit.state)" in done.stdout
    assert f"$ systemctl --user unmask {UNIT.name}" in done.stdout
    absent = installed("diagnose")
    assert 3 == absent.returncode
    assert "not installed" in absent.stderr
    assert 0 == installed.up().returncode


def test_what_nobody_knows_is_told_with_where_to_ask(installed: Tool) -> None:
    words = "starting kubernetes: the moon is in the wrong phase"
    case = Case("unknown", dies(words), order(), "user")
    with broken(installed, case):
        done = installed("diagnose")
    assert 1 == done.returncode
    assert "I do not know this one" in done.stdout
    assert words in done.stdout
    assert "https://github.com/k3s-io/k3s/issues" in done.stdout
    assert 0 == installed.up().returncode


def test_a_loop_is_told_with_its_count_and_its_period(installed: Tool) -> None:
    """Deaths that are too slow for the start limit go on for ever."""
    case = Case("unknown", dies("failed to find memory cgroup (v2)", after=0.1), order(), "administrator")
    machine = installed.machine
    with broken(installed, case):
        assert wait(machine, f'test "$(systemctl --user show -P NRestarts {UNIT.name})" -ge 2')
        unit = json.loads(installed("diagnose", "--json").stdout)["unit"]
    assert unit["restarts"] >= 2
    assert unit["seconds_between_restarts"] > 1
    assert 0 == installed.up().returncode


def test_the_journal_of_another_machine_is_judged_from_a_file(installed: Tool) -> None:
    machine = installed.machine
    with broken(installed, Case("unknown", dies("got negative mtu"), order(), "user")):
        pass
    for form in ("export", "json"):
        machine.user("sh", "-c", f"journalctl --user-unit={UNIT.name} -o {form} > /tmp/start.{form}").check_returncode()
        done = installed("diagnose", "--file", f"/tmp/start.{form}", "--json")
        found = json.loads(done.stdout)
        assert (1, "mtu-invalid", None) == (done.returncode, found["cause"]["id"], found["unit"])
    refused = installed("diagnose", "--file", "/usr/bin/true")
    assert 2 == refused.returncode
    assert "holds no entry of a journal" in refused.stderr
    assert 0 == installed.up().returncode


def test_logs_of_a_start_by_level_component_and_form(installed: Tool) -> None:
    machine = installed.machine
    assert 0 == installed.up().returncode
    raw = installed("logs", "--raw")
    same = machine.user(
        "sh",
        "-c",
        f"i=$(systemctl --user show -P InvocationID {UNIT.name}); journalctl --no-pager --user-unit={UNIT.name} "
        "_UID=1500 _SYSTEMD_INVOCATION_ID=$i + _UID=1500 USER_INVOCATION_ID=$i",
    )
    assert same.stdout == raw.stdout
    objects = [json.loads(line) for line in installed("logs", "--json", "--level", "warning").stdout.splitlines()]
    assert objects
    assert {"warning", "error", "fatal"} >= {one["level"] for one in objects}
    assert "Started" in installed("logs", "--component", "systemd").stdout
    assert 2 == len(installed("logs", "--component", "kubelet", "-n", "2").stdout.splitlines())
    machine.user("systemctl", "--user", "restart", UNIT.name)
    assert raw.stdout.splitlines()[-1].partition("]: ")[2] in installed("logs", "--previous").stdout
    machine.user("sh", "-c", f'mkdir -p {LOG.rpartition("/")[0]}; echo \'time="x" level=error msg="no snapshot"\' >> {LOG}')
    assert "no snapshot" in installed("logs", "--component", "containerd", "--level", "error").stdout
    closed = machine.user("sh", "-c", f"{TOOL} logs --boot | head -1")
    assert (1, "") == (len(closed.stdout.splitlines()), closed.stderr)


def test_followed_lines_come_at_once_and_an_interrupt_ends_it(installed: Tool) -> None:
    machine = installed.machine
    assert 0 == installed.up().returncode
    with machine.popen(TOOL, "logs", "-f", "-n", "1") as following:
        assert following.stdout is not None
        following.stdout.readline()
        begun = time.monotonic()
        # A line of the unit itself, by the manager: it is reloaded, and kill(1) is silent.
        machine.user("systemctl", "--user", "restart", UNIT.name)
        assert following.stdout.readline()
        assert time.monotonic() - begun < 10
        following.send_signal(signal.SIGINT)
        assert 130 == following.wait(10)
