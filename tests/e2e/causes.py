"""Cases that really break K3s, and the diagnosis that each must get."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.e2e.conftest import UNIT, Tool
from tests.machine import HOME, K3S, USER, Completed, Machine

DROP_IN = UNIT.with_name(f"{UNIT.name}.d") / "10-test.conf"
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}
LAB, VM = frozenset({"lab"}), frozenset({"vm"})
Step = Callable[[Tool], None]


def nothing(_: Tool) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Case:
    """How K3s is broken, the expected diagnosis, and whether its fix works here as printed.

    `what` describes the case for readers. `undo` removes the whole fault, in any state. `title` and
    `observed` are parts of the expected texts. If the stand-in simulates the fault,
    `end_simulation` ends the simulation before the printed commands run. If the commands cannot be
    run, `manual_reason` gives the reason, and `undo` removes the fault.
    """

    id: str
    what: str
    breaks: Step
    undo: Step
    fixable_by: str
    check: str | None = None
    title: str = ""
    observed: str = ""
    end_simulation: Step = nothing
    manual_reason: str = ""
    waiting_log: str = ""
    """Text in the journal after which K3s waits forever; if empty, K3s must exit."""
    machines: frozenset[str] = LAB | VM
    not_in_ways: bool = False
    """Whether `tests.e2e.ways` omits this case."""

    def __str__(self) -> str:
        return self.id


def root(*scripts: str) -> Step:
    """Return a step that runs scripts as root of the machine."""

    def step(tool: Tool) -> None:
        for script in scripts:
            done = tool.machine.root("sh", "-c", script)
            assert 0 == done.returncode, (script, done.stderr)

    return step


def drop_in(*lines: str) -> Step:
    """Return a step that writes a drop-in of the unit."""

    def step(tool: Tool) -> None:
        text = "\n".join(("[Service]", *lines, ""))
        script = f"mkdir -p {DROP_IN.parent} && cat > {DROP_IN} && systemctl --user daemon-reload"
        tool.machine.user("sh", "-c", script, stdin=text).check_returncode()

    return step


def no_drop_in(tool: Tool) -> None:
    """Remove all settings of a test or a remedy."""
    script = f"rm -rf {DROP_IN.parent} ~/.config/k3s; systemctl --user daemon-reload"
    tool.machine.user("sh", "-c", script).check_returncode()


def order(**orders: object) -> Step:
    """Return a step that gives orders to the stand-in."""
    return lambda tool: tool.order(**QUICK, **orders)


def exits_with(message: str, **more: object) -> Step:
    """Return a step that makes the stand-in exit with this message."""
    return order(die={"after": 0.2, "message": message, "level": "fatal", **more})


def sysctl(key: str, value: str) -> Step:
    """Return a step that sets a sysctl, and removes the file that a remedy wrote for it."""
    return root(
        f"rm -f /etc/sysctl.d/60-k3s-rootless.conf; echo {value} >"
        f" /proc/sys/{key.replace('.', '/')}"
    )


def both(*steps: Step) -> Step:
    """Return a step that runs these steps in order."""

    def step(tool: Tool) -> None:
        for one in steps:
            one(tool)

    return step


def user(*scripts: str) -> Step:
    """Return a step that runs scripts as the user."""

    def step(tool: Tool) -> None:
        for script in scripts:
            tool.machine.user("sh", "-c", script).check_returncode()

    return step


def mask(tool: Tool) -> None:
    """Mask the unit, until the end of the session."""
    tool.machine.user("systemctl", "--user", "mask", "--runtime", UNIT.name)
    tool.machine.user(
        "sh", "-c", f"mv {UNIT} {UNIT}.away; systemctl --user mask {UNIT.name}"
    ).check_returncode()


def unmask(tool: Tool) -> None:
    """Unmask the unit, and restore its file."""
    script = (
        f"systemctl --user unmask {UNIT.name}; systemctl --user unmask --runtime {UNIT.name}; mv -n"
        f" {UNIT}.away {UNIT}"
    )
    tool.machine.user(
        "sh", "-c", f"{script}; rm -f {UNIT}.away; systemctl --user daemon-reload"
    ).check_returncode()


AWAY = "mv /usr/bin/{0} /usr/bin/{0}.away"
BACK = "test ! -e /usr/bin/{0}.away || mv /usr/bin/{0}.away /usr/bin/{0}"
MOUNT = "program=$(command -v mount.fuse3) && mv $program $program.away"
UNMOUNT = (
    "for place in /usr/sbin /sbin /usr/bin; do program=$place/mount.fuse3; "
    "test ! -e $program.away || mv $program.away $program; done"
)
_UNTRUSTED = 'Get "https://registry:5000/v2/": x509: certificate signed by unknown authority'
_LOST = 'E1128 03:36:50.342405      31 server.go:326] "Leaderelection lost"'
SUBUID = "cp /etc/subuid /etc/subuid.kept"
SUBIDS_BACK = "cp /etc/subuid.kept /etc/subuid; echo alice:100000:65536 > /etc/subgid"
CONFIG = "/etc/rancher/k3s/config.yaml"
SERVER = f"ExecStart=\nExecStart={K3S} server --rootless --snapshotter=fuse-overlayfs"
DATA = HOME / ".rancher/k3s"
STATE = DATA / "server/db/state.db"
KUBE = HOME / ".kube"
NO_TASKS = (
    "child died: executing [[ip link set tap0 up]]: fork/exec /usr/sbin/ip: resource temporarily"
    " unavailable"
)
NO_PACKAGES = "no package source is available on the machine"
CASES = (
    Case(
        "ip-forward",
        "`net.ipv4.ip_forward` is 0",
        sysctl("net.ipv4.ip_forward", "0"),
        sysctl("net.ipv4.ip_forward", "1"),
        "administrator",
        "sysctl.ip_forward",
        "net.ipv4.ip_forward is 0",
    ),
    Case(
        "userns-max",
        "`user.max_user_namespaces` is 0",
        sysctl("user.max_user_namespaces", "0"),
        sysctl("user.max_user_namespaces", "7000"),
        "administrator",
        "userns.max",
        machines=VM,
    ),
    Case(
        # The lab shares this sysctl with its host and cannot write it. The stand-in prints the
        # message, as if the host was fixed since.
        "userns-max",
        "K3s exits with the same message, but the host was fixed since then",
        exits_with(
            "failed to start the child: fork/exec /proc/self/exe: no space left on device",
            where="parent",
        ),
        order(),
        "user",
        "userns.max",
        observed="reports no failure now",
        end_simulation=order(),
        machines=LAB,
    ),
    Case(
        "idmap-missing",
        "newuidmap is missing",
        root(AWAY.format("newuidmap")),
        root(BACK.format("newuidmap")),
        "administrator",
        "uidmap.newuidmap",
        "newuidmap was not found in the unit's PATH",
        "newuidmap was not found in the unit's PATH",
        manual_reason=NO_PACKAGES,
    ),
    Case(
        "idmap-powerless",
        "newuidmap has neither its setuid bit nor capabilities",
        root("chmod u-s /usr/bin/newuidmap; setcap -r /usr/bin/newuidmap 2>/dev/null || true"),
        root("chown root:root /usr/bin/newuidmap", "chmod u+s /usr/bin/newuidmap"),
        "administrator",
        "uidmap.newuidmap",
    ),
    Case(
        "subid-missing",
        "/etc/subuid has no row for the user",
        root(SUBUID, "sed -i /^alice:/d /etc/subuid"),
        root(SUBIDS_BACK),
        "administrator",
        "subid.subuid",
        "no subuid range for alice",
    ),
    Case(
        "subid-overlap",
        "/etc/subuid has a second row that repeats ids of the first",
        root(SUBUID, "echo alice:100100:65536 >> /etc/subuid"),
        root(SUBIDS_BACK),
        "administrator",
        "subid.subuid",
        "overlap",
        manual_reason="an administrator must decide which of the two rows is wrong",
    ),
    Case(
        "tun",
        "only root can open /dev/net/tun",
        root("chmod 600 /dev/net/tun"),
        root("chmod 666 /dev/net/tun"),
        "administrator",
        "device.tun",
        observed="permission denied",
    ),
    Case(
        "slirp4netns-missing",
        "a drop-in sets a PATH without slirp4netns",
        drop_in("Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/nowhere"),
        no_drop_in,
        "user",
        observed="10-test.conf",
    ),
    Case(
        "cidr-invalid",
        "`K3S_ROOTLESS_CIDR` has no prefix length",
        drop_in("Environment=K3S_ROOTLESS_CIDR=10.41.0.0"),
        no_drop_in,
        "user",
        check="env.valid",
        title="10.41.0.0 is not a valid network",
        observed="the unit sets K3S_ROOTLESS_CIDR=10.41.0.0",
    ),
    Case(
        "mtu-invalid",
        "`K3S_ROOTLESS_MTU` is -5",
        drop_in("Environment=K3S_ROOTLESS_MTU=-5"),
        no_drop_in,
        "user",
        "env.valid",
        observed="K3S_ROOTLESS_MTU=-5",
    ),
    Case(
        "copyup-invalid",
        "`K3S_ROOTLESS_COPYUPDIRS` names a directory that does not exist",
        drop_in("Environment=K3S_ROOTLESS_COPYUPDIRS=/nowhere"),
        no_drop_in,
        "user",
        title="/nowhere",
        observed="K3S_ROOTLESS_COPYUPDIRS=/nowhere",
    ),
    Case(
        "config-unreadable",
        "only root can read /etc/rancher/k3s/config.yaml",
        root(
            f"mkdir -p {CONFIG.rpartition('/')[0]}",
            f"echo 'debug: true' > {CONFIG}",
            f"chmod 600 {CONFIG}",
        ),
        both(root(f"rm -f {CONFIG}"), no_drop_in),
        "user",
        check="config.readable",
        title=f"{CONFIG} exists, but this user cannot read it",
        observed="permission denied",
    ),
    Case(
        "flag-unknown",
        "a drop-in passes an unknown option to K3s",
        drop_in(f"{SERVER} --no-such-flag"),
        no_drop_in,
        "user",
        title="-no-such-flag",
    ),
    Case(
        # K3s was moved, as by another method of installation.
        "exec-failed",
        "k3s was moved to another directory",
        root(f"mv {K3S} /usr/bin/k3s"),
        root(f"test ! -e /usr/bin/k3s || mv /usr/bin/k3s {K3S}"),
        "user",
        "k3s.binary",
        K3S,
        f"{K3S}: no such file or directory",
        # K3s of the virtual machine is on a read-only share.
        machines=LAB,
    ),
    Case(
        "exec-failed",
        "a drop-in names a k3s that does not exist",
        drop_in(SERVER.replace(K3S, "/nowhere/k3s")),
        no_drop_in,
        "user",
        "k3s.binary",
        "/nowhere/k3s",
        "10-test.conf",
    ),
    Case(
        "snapshotter-fuse",
        "mount.fuse3 is missing",
        root(MOUNT),
        root(UNMOUNT),
        "administrator",
        check="snapshotter.mount_fuse3",
        title="mount.fuse3 is missing",
        observed="mount.fuse3 was not found in the unit's PATH",
        manual_reason=NO_PACKAGES,
        waiting_log="snapshotter cannot be enabled",
        machines=LAB,
    ),
    Case(
        "snapshotter-fuse",
        "only root can open /dev/fuse",
        root("chmod 600 /dev/fuse"),
        root("chmod 666 /dev/fuse"),
        "administrator",
        observed="/dev/fuse: perm",
        waiting_log="snapshotter cannot be enabled",
    ),
    Case(
        "containerd-plugin",
        "a lazily pulled image is not readable in its registry",
        order(containerd_error=f"failed to restore remote snapshot: {_UNTRUSTED}"),
        both(order(), user(f"systemctl --user restart {UNIT.name}")),
        "user",
        observed=f"the log of containerd: failed to restore remote snapshot: {_UNTRUSTED}",
        end_simulation=order(),
        manual_reason="the command opens an editor",
        waiting_log="Waiting for containerd startup",
        machines=LAB,
        not_in_ways=True,
    ),
    Case(
        "lease-lost",
        "the scheduler cannot renew its lease",
        exits_with(_LOST, raw=True),
        order(),
        "user",
        title="too slow to renew a lease",
        end_simulation=order(),
        machines=LAB,
        not_in_ways=True,
    ),
    Case(
        "cgroup-evacuation",
        "the K3s release cannot start in rootless mode",
        order(version="v1.34.4+k3s1"),
        order(),
        "user",
        "k3s.version",
        manual_reason="another release must be downloaded",
    ),
    Case(
        "panic",
        "K3s crashes and logs 20,000 lines of stacks",
        order(panic=20_000, panic_after=0.2),
        order(),
        "user",
        title="nil pointer dereference",
        end_simulation=order(),
    ),
    Case(
        "unit-not-delegating",
        "a drop-in sets Delegate=no, and K3s exits with the message about it",
        both(
            drop_in("Delegate=no"),
            exits_with("delegated cgroup v2 controllers are required for rootless"),
        ),
        both(no_drop_in, order()),
        "user",
        "unit.state",
        observed="10-test.conf",
        end_simulation=order(),
        machines=LAB,
    ),
    Case(
        "unit-not-delegating",
        "a drop-in sets Delegate=no",
        drop_in("Delegate=no"),
        no_drop_in,
        "user",
        "unit.state",
        observed="10-test.conf",
        machines=VM,
    ),
    Case(
        "datastore-token",
        "K3s exits with the message about another token",
        exits_with("bootstrap data already found and encrypted with different token"),
        order(),
        "user",
        manual_reason="only its owner knows the previous token",
        machines=LAB,
    ),
    Case(
        "supervisor-port",
        "K3s exits with the message that port 6444 is in use",
        exits_with(
            "Error starting load balancer: listen tcp 127.0.0.1:6444: bind: address already in use"
        ),
        order(),
        "user",
        observed="port 6444 of this host is not in use now",
        manual_reason="the commands list processes; their owner must decide which one to stop",
        machines=LAB,
    ),
    Case(
        "exit-chdir",
        "a drop-in sets a WorkingDirectory= that does not exist",
        drop_in("WorkingDirectory=/nowhere"),
        no_drop_in,
        "user",
        title="200/CHDIR",
    ),
    Case(
        "exit-capabilities",
        "a drop-in sets AmbientCapabilities=",
        drop_in("CapabilityBoundingSet=CAP_CHOWN", "AmbientCapabilities=CAP_CHOWN"),
        no_drop_in,
        "user",
    ),
    Case(
        "unit-masked",
        "the unit is masked",
        mask,
        unmask,
        "user",
        "unit.state",
        not_in_ways=True,
    ),
    Case(
        "unit-broken",
        "the unit file was edited and is invalid",
        user(
            f"printf '[Service]\\nType=oneshot\\nRestart=always\\nExecStart=\\n' > {UNIT};"
            " systemctl --user daemon-reload"
        ),
        nothing,
        "user",
        "unit.state",
        not_in_ways=True,
    ),
    Case("killed", "K3s is killed with SIGKILL", nothing, no_drop_in, "user", title="SIGKILL"),
    Case(
        "datastore-damaged",
        "server/db/state.db was overwritten",
        user(f"head -c 8192 /dev/urandom > {STATE}"),
        root(f"rm -rf {STATE}* {DATA}/server/db.damaged-*"),
        "user",
        title="file is not a database",
        waiting_log="Failed to ping database connection",
        machines=LAB,
    ),
    Case(
        "extraction-damaged",
        "K3s exits with the message about an incomplete download, and k3s is replaced",
        both(root(f"rm -rf {DATA}/data"), order(damaged=True)),
        order(),
        "user",
        end_simulation=order(),
        machines=LAB,
    ),
    Case(
        "kubeconfig-unwritable",
        "~/.kube belongs to root",
        root(f"chown -R root: {KUBE}"),
        root(f"chown -R {USER}: {KUBE}"),
        "administrator",
        title=f"{KUBE}/k3s.yaml: permission denied",
        observed=f"{KUBE} belongs to uid 0 and is not writable for this user",
        machines=LAB,
    ),
    Case(
        "kubeconfig-unwritable",
        "~/.kube/k3s.yaml belongs to root",
        root(f"chown root: {KUBE}/k3s.yaml"),
        root(f"chown -R {USER}: {KUBE}; rm -f {KUBE}/k3s.yaml.old"),
        "user",
        observed=f"{KUBE}/k3s.yaml belongs to uid 0",
        machines=LAB,
    ),
    Case(
        "data-readonly",
        "the data directory is mounted read-only",
        root(f"mount --bind {DATA} {DATA}", f"mount -o remount,bind,ro {DATA}"),
        root(f"umount --lazy {DATA}"),
        "administrator",
        "storage.mount",
        title="is mounted read-only",
        machines=LAB,
    ),
    Case(
        # The host of the lab keeps the controllers on cgroup v1: systemd has the limit, and the
        # kill is simulated.
        "unit-memory-limit",
        "a drop-in sets MemoryMax=200M, and K3s is killed",
        both(drop_in("MemoryMax=200M"), order(die={"after": 0.2, "signal": 9})),
        both(no_drop_in, order()),
        "user",
        title="MemoryMax=200M",
        observed="MemoryMax=200M is set in",
        end_simulation=order(),
        machines=LAB,
    ),
    Case(
        "unit-tasks-limit",
        "a drop-in sets TasksMax=24, and K3s exits with the message about it",
        both(drop_in("TasksMax=24"), exits_with(NO_TASKS, where="parent")),
        both(no_drop_in, order()),
        "user",
        title="TasksMax=24",
        observed="TasksMax=24 is set in",
        end_simulation=order(),
        machines=LAB,
    ),
    Case(
        "unit-open-files-limit",
        "a drop-in sets LimitNOFILE=64",
        drop_in("LimitNOFILE=64"),
        no_drop_in,
        "user",
        title="LimitNOFILE=64",
        observed="LimitNOFILE=64 is set in",
        machines=LAB,
    ),
    Case(
        # The controller is really missing where possible: see
        # test_missing_controllers_are_reported_until_they_are_delegated.
        "cgroup-controller",
        "K3s exits with the message about a missing cpuset",
        exits_with("failed to find cpuset cgroup (v2)"),
        order(),
        "administrator",
        "cgroup.delegation.cpuset",
        manual_reason="the host of the lab has its controllers on cgroup v1",
        machines=LAB,
    ),
)


def start(tool: Tool, case: Case) -> None:
    """Break K3s and start it; return when it has failed, or waits for what is missing."""
    machine = tool.machine
    machine.user(
        "sh", "-c", f"systemctl --user stop {UNIT.name}; systemctl --user reset-failed {UNIT.name}"
    )
    case.breaks(tool)
    kill = f"; systemctl --user kill --signal=KILL {UNIT.name}" if case.id == "killed" else ""
    machine.user("sh", "-c", f"systemctl --user start {UNIT.name}{kill}")
    show = f"systemctl --user show -P SubState -P Result -P LoadState {UNIT.name} | tr '\\n' ' '"
    waits = "false"
    invocation = f"systemctl --user show -P InvocationID {UNIT.name}"
    if case.waiting_log:
        waits = (
            f"journalctl -q -o cat _SYSTEMD_INVOCATION_ID=$({invocation}) | grep -q"
            f" '{case.waiting_log}'"
        )
    # A unit that was started again has the result of its last start: any result but success means
    # that K3s exited.
    ended = (
        f'case "$({show})" in *auto-restart*|*failed*|exit-code*|signal*|*masked*|*bad-setting*)'
        " exit 0;; esac"
    )
    done = machine.user(
        "timeout", "60", "sh", "-c", f"while :; do {ended}; {waits} && exit 0; sleep 0.05; done"
    )
    assert 0 == done.returncode, f"{case.id}: K3s did not fail"


@contextmanager
def broken(tool: Tool, case: Case) -> Iterator[Completed]:
    """Yield the result of `diagnose --json` for the broken K3s, and undo the fault at the end."""
    try:
        start(tool, case)
        yield tool("diagnose", "--json")
    finally:
        case.undo(tool)


def wait(machine: Machine, condition: str) -> bool:
    """Wait up to ten seconds until a shell condition is true."""
    return (
        0
        == machine.user(
            "timeout", "10", "sh", "-c", f"until {condition}; do sleep 0.1; done"
        ).returncode
    )


__all__ = ["CASES", "HOME", "Case", "broken", "exits_with", "order", "start", "wait"]
