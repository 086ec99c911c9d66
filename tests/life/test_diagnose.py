"""Causes brought about for real: `diagnose` names each at the first answer, its remedy is followed, and `up` is ready again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.life.conftest import K3S, UNIT, Tool
from tests.machine import Machine

pytestmark = pytest.mark.lab
DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "50-test.conf"
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
    return lambda tool: tool.order(**orders)


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
    Case("tun", root("chmod 600 /dev/net/tun"), root("chmod 666 /dev/net/tun"), "administrator", seen="permission denied"),
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
        words="10.41.0.0 is no network",
        seen="the unit sets K3S_ROOTLESS_CIDR=10.41.0.0",
    ),
    Case("mtu-invalid", drop_in("Environment=K3S_ROOTLESS_MTU=-5"), without_drop_in, "user", seen="K3S_ROOTLESS_MTU=-5"),
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
    tool.up().check_returncode()
    yield tool
    fresh(lab)


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
    waits = "false" if not slow else f"journalctl -q --user-unit={UNIT.name} -n 30 | grep -q 'snapshotter cannot be enabled'"
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
    import json

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
