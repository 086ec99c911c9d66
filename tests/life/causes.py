"""Ways in which K3s is broken for real, what must be said of each, and how its remedy is followed as it is printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from tests.life.conftest import UNIT, Tool
from tests.machine import HOME, K3S, TOOL, Completed, Machine
from tests.vm.machine import Vm

DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "10-test.conf"
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}
LAB, VM = frozenset({"lab"}), frozenset({"vm"})
# What the user types, in a remedy that needs an administrator.
_OF_THE_USER = re.compile(r"k3s-rootless |systemctl --user |ssh |mkdir -p ~|printf .* >> ~")
Step = Callable[[Tool], None]


def nothing(_: Tool) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Case:
    """What is broken how, what must be said of it, and what the remedy cannot do here.

    `undo` takes away all that was broken, whatever has become of it. What the stand-in only plays ends by `relents`, before the
    remedy is followed as it is printed. `by_hand` says why it is not; then `undo` mends.
    """

    id: str
    breaks: Step
    undo: Step
    mender: str
    check: str | None = None
    words: str = ""
    seen: str = ""
    relents: Step = nothing
    by_hand: str = ""
    waits_for: str = ""
    """Words in the journal after which K3s is known to wait for ever; without, it has to die."""
    machines: frozenset[str] = LAB | VM

    def __str__(self) -> str:
        return self.id


def root(*scripts: str) -> Step:
    """Do something as the machine's root."""

    def step(tool: Tool) -> None:
        for script in scripts:
            done = tool.machine.root("sh", "-c", script)
            assert 0 == done.returncode, (script, done.stderr)

    return step


def drop_in(*lines: str) -> Step:
    """Set something for the unit."""

    def step(tool: Tool) -> None:
        text = "\n".join(("[Service]", *lines, ""))
        script = f"mkdir -p {DROP_IN.parent} && cat > {DROP_IN} && systemctl --user daemon-reload"
        tool.machine.user("sh", "-c", script, stdin=text).check_returncode()

    return step


def no_drop_in(tool: Tool) -> None:
    """Take away all that was set, by a test or by a remedy."""
    script = f"rm -rf {DROP_IN.parent} ~/.config/k3s; systemctl --user daemon-reload"
    tool.machine.user("sh", "-c", script).check_returncode()


def order(**orders: object) -> Step:
    """Tell the stand-in what to play."""
    return lambda tool: tool.order(**QUICK, **orders)


def dies(words: str, **more: object) -> Step:
    """Let the stand-in die with these words."""
    return order(die={"after": 0.2, "message": words, "level": "fatal", **more})


def sysctl(key: str, value: str) -> Step:
    """Set a switch of the kernel, and forget what a remedy wrote into files."""
    return root(f"rm -f /etc/sysctl.d/60-k3s-rootless.conf; echo {value} > /proc/sys/{key.replace('.', '/')}")


def both(*steps: Step) -> Step:
    """Do one after the other."""

    def step(tool: Tool) -> None:
        for one in steps:
            one(tool)

    return step


AWAY = "mv /usr/bin/{0} /usr/bin/{0}.away"
BACK = "test ! -e /usr/bin/{0}.away || mv /usr/bin/{0}.away /usr/bin/{0}"
MOUNT = "program=$(command -v mount.fuse3) && mv $program $program.away"
UNMOUNT = (
    "for place in /usr/sbin /sbin /usr/bin; do program=$place/mount.fuse3; "
    "test ! -e $program.away || mv $program.away $program; done"
)
SUBUID = "cp /etc/subuid /etc/subuid.kept"
SUBIDS_BACK = "cp /etc/subuid.kept /etc/subuid; echo alice:100000:65536 > /etc/subgid"
CONFIG = "/etc/rancher/k3s/config.yaml"
SERVER = f"ExecStart=\nExecStart={K3S} server --rootless --snapshotter=fuse-overlayfs"
NO_PACKAGES = "the machine has nowhere to install a package from"
DROP_IN_EDITED = "the remedy shows where the setting stands; taking it out of somebody's drop-in is an edit"
CASES = (
    Case(
        "ip-forward",
        sysctl("net.ipv4.ip_forward", "0"),
        sysctl("net.ipv4.ip_forward", "1"),
        "administrator",
        "sysctl.ip_forward",
        "net.ipv4.ip_forward is 0",
    ),
    Case(
        "userns-max",
        sysctl("user.max_user_namespaces", "0"),
        sysctl("user.max_user_namespaces", "7000"),
        "administrator",
        "userns.max",
        machines=VM,
    ),
    Case(
        # The lab shares this switch with its host, and cannot write it: the words, and a host that was mended since.
        "userns-max",
        dies("failed to start the child: fork/exec /proc/self/exe: no space left on device", where="parent"),
        order(),
        "user",
        "userns.max",
        seen="finds nothing wrong now",
        relents=order(),
        machines=LAB,
    ),
    Case(
        "idmap-missing",
        root(AWAY.format("newuidmap")),
        root(BACK.format("newuidmap")),
        "administrator",
        "uidmap.newuidmap",
        "newuidmap is not on the unit's PATH",
        "newuidmap is nowhere on the unit's PATH",
        by_hand=NO_PACKAGES,
    ),
    Case(
        "idmap-powerless",
        root("chmod u-s /usr/bin/newuidmap; setcap -r /usr/bin/newuidmap 2>/dev/null || true"),
        root("chown root:root /usr/bin/newuidmap", "chmod u+s /usr/bin/newuidmap"),
        "administrator",
        "uidmap.newuidmap",
    ),
    Case(
        "subid-missing",
        root(SUBUID, "sed -i /^alice:/d /etc/subuid"),
        root(SUBIDS_BACK),
        "administrator",
        "subid.subuid",
        "no subuid range for alice",
    ),
    Case(
        "subid-overlap",
        root(SUBUID, "echo alice:100100:65536 >> /etc/subuid"),
        root(SUBIDS_BACK),
        "administrator",
        "subid.subuid",
        "overlap",
        by_hand="which of two rows is the wrong one, an administrator has to say",
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
        no_drop_in,
        "administrator",
        seen="10-test.conf",
        by_hand=DROP_IN_EDITED,
    ),
    Case(
        "cidr-invalid",
        drop_in("Environment=K3S_ROOTLESS_CIDR=10.41.0.0"),
        no_drop_in,
        "user",
        check="env.valid",
        words="10.41.0.0 is no network",
        seen="the unit sets K3S_ROOTLESS_CIDR=10.41.0.0",
    ),
    Case(
        "mtu-invalid",
        drop_in("Environment=K3S_ROOTLESS_MTU=-5"),
        no_drop_in,
        "user",
        "env.valid",
        seen="K3S_ROOTLESS_MTU=-5",
    ),
    Case(
        "copyup-invalid",
        drop_in("Environment=K3S_ROOTLESS_COPYUPDIRS=/nowhere"),
        no_drop_in,
        "user",
        words="/nowhere",
        seen="K3S_ROOTLESS_COPYUPDIRS=/nowhere",
    ),
    Case(
        "config-unreadable",
        root(f"mkdir -p {CONFIG.rpartition('/')[0]}", f"echo 'debug: true' > {CONFIG}", f"chmod 600 {CONFIG}"),
        both(root(f"rm -f {CONFIG}"), no_drop_in),
        "user",
        check="config.readable",
        words=f"{CONFIG} is there",
        seen="permission denied",
    ),
    Case(
        "flag-unknown",
        drop_in(f"{SERVER} --no-such-flag"),
        no_drop_in,
        "user",
        words="-no-such-flag",
        by_hand=DROP_IN_EDITED,
    ),
    Case(
        # K3s was moved, as by another way of installing it.
        "exec-failed",
        root(f"mv {K3S} /usr/bin/k3s"),
        root(f"test ! -e /usr/bin/k3s || mv /usr/bin/k3s {K3S}"),
        "user",
        "k3s.binary",
        K3S,
        f"{K3S}: no such file or directory",
    ),
    Case(
        "exec-failed",
        drop_in(SERVER.replace(K3S, "/nowhere/k3s")),
        no_drop_in,
        "user",
        "k3s.binary",
        "/nowhere/k3s",
        "10-test.conf",
        by_hand=DROP_IN_EDITED,
        machines=LAB,
    ),
    Case(
        "snapshotter-fuse",
        root(MOUNT),
        root(UNMOUNT),
        "administrator",
        check="snapshotter.mount_fuse3",
        words="mount.fuse3 is missing",
        seen="mount.fuse3 is nowhere on the unit's PATH",
        by_hand=NO_PACKAGES,
        waits_for="snapshotter cannot be enabled",
        machines=LAB,
    ),
    Case(
        "snapshotter-fuse",
        root("chmod 600 /dev/fuse"),
        root("chmod 666 /dev/fuse"),
        "administrator",
        seen="/dev/fuse: perm",
        waits_for="snapshotter cannot be enabled",
    ),
    Case(
        "cgroup-evacuation",
        order(version="v1.34.4+k3s1"),
        order(),
        "user",
        "k3s.version",
        by_hand="another release has to be fetched from the network",
    ),
    Case("panic", order(panic=20_000, panic_after=0.2), order(), "user", words="nil pointer dereference", relents=order()),
    Case(
        "unit-not-delegating",
        both(drop_in("Delegate=no"), dies("delegated cgroup v2 controllers are required for rootless")),
        both(no_drop_in, order()),
        "user",
        "unit.state",
        seen="10-test.conf",
        relents=order(),
        machines=LAB,
    ),
    Case("unit-not-delegating", drop_in("Delegate=no"), no_drop_in, "user", "unit.state", seen="10-test.conf", machines=VM),
    Case(
        "datastore-token",
        dies("bootstrap data already found and encrypted with different token"),
        order(),
        "user",
        by_hand="the token of before is known to nobody but its owner",
        machines=LAB,
    ),
    Case(
        "supervisor-port",
        dies("Error starting load balancer: listen tcp 127.0.0.1:6444: bind: address already in use"),
        order(),
        "user",
        seen="nobody holds port 6444",
        by_hand="the remedy shows what runs; to end it is up to its owner",
        machines=LAB,
    ),
    Case(
        "exit-chdir",
        drop_in("WorkingDirectory=/nowhere"),
        no_drop_in,
        "user",
        words="200/CHDIR",
        by_hand=DROP_IN_EDITED,
    ),
    Case(
        "exit-capabilities",
        drop_in("CapabilityBoundingSet=CAP_CHOWN", "AmbientCapabilities=CAP_CHOWN"),
        no_drop_in,
        "user",
        by_hand=DROP_IN_EDITED,
        machines=LAB,
    ),
    Case("killed-by-memory", nothing, no_drop_in, "administrator", words="SIGKILL"),
    Case(
        # Really lacking where it can be: see test_controllers_that_are_not_delegated_are_told_until_they_are.
        "cgroup-controller",
        dies("failed to find cpuset cgroup (v2)"),
        order(),
        "administrator",
        "cgroup.delegation.cpuset",
        by_hand="the host of the lab keeps its controllers on cgroup v1",
        machines=LAB,
    ),
)


def start(tool: Tool, case: Case) -> None:
    """Start K3s as it is broken, and wait until it is known to have failed, or to wait for what it lacks."""
    machine = tool.machine
    machine.user("sh", "-c", f"systemctl --user stop {UNIT.name}; systemctl --user reset-failed {UNIT.name}")
    case.breaks(tool)
    kill = f"; systemctl --user kill --signal=KILL {UNIT.name}" if case.id == "killed-by-memory" else ""
    machine.user("sh", "-c", f"systemctl --user start {UNIT.name}{kill}")
    show = f"systemctl --user show -P SubState -P Result {UNIT.name} | tr '\\n' ' '"
    waits = "false"
    invocation = f"systemctl --user show -P InvocationID {UNIT.name}"
    if case.waits_for:
        waits = f"journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$({invocation}) | grep -q '{case.waits_for}'"
    # A unit that is started again has the result of its last start: whatever is no success has died.
    ended = f'case "$({show})" in *auto-restart*|*failed*|exit-code*|signal*) exit 0;; esac'
    done = machine.user("timeout", "60", "sh", "-c", f"while :; do {ended}; {waits} && exit 0; sleep 0.05; done")
    assert 0 == done.returncode, f"{case.id}: K3s did not fail"


@contextmanager
def broken(tool: Tool, case: Case) -> Iterator[Completed]:
    """Give what `diagnose --json` says of K3s as it is broken, and undo it at the end."""
    try:
        start(tool, case)
        yield tool("diagnose", "--json")
    finally:
        case.undo(tool)


def follow(tool: Tool, remedy: dict[str, Any]) -> str:
    """Paste the commands of a remedy into a shell as they are printed; give what was shown.

    What needs an administrator is root's, where `sudo` is a word without meaning; the rest is the user's.
    """
    shown = ""
    for of_user, lines in groupby(remedy["commands"], lambda line: remedy["mender"] == "user" or _OF_THE_USER.match(line)):
        script = "\n".join(lines)
        if of_user:
            shown += _as_user(tool, script)
        else:
            done = tool.machine.root("bash", "-c", f'sudo() {{ "$@"; }}\n{script}')
            shown += f"{done.stdout}{done.stderr}"
    return shown


def _as_user(tool: Tool, script: str) -> str:
    # `up` of a lab whose host keeps the controllers is told to go on without them; nobody has a key for a login of their own.
    script = re.sub(r"^k3s-rootless up", " ".join((TOOL, "up", *tool.ignore)), script, flags=re.MULTILINE)
    if isinstance(tool.machine, Vm) and "ssh localhost true" in script:
        script = script.replace("ssh localhost true", "true")
        tool.machine.login().check_returncode()
    done = tool.machine.user("bash", "-c", script, timeout=240)
    assert "Traceback" not in done.stderr, done.stderr
    return f"{done.stdout}{done.stderr}"


def wait(machine: Machine, condition: str) -> bool:
    """Wait for a condition of the shell, for ten seconds at most."""
    return 0 == machine.user("timeout", "10", "sh", "-c", f"until {condition}; do sleep 0.1; done").returncode


__all__ = ["CASES", "HOME", "Case", "broken", "dies", "follow", "order", "start", "wait"]
