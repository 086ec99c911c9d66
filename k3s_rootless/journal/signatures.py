r"""The causes that are known by what K3s prints: typed data, tried in this order.

To add one: its entry here, its lines in tests/data/fatal-lines.json, and, where `check` asks about the same trouble, the id of
that check. Lines are matched after `\"` was read as `"`; `{name}` in a text stands for what the group of that name matched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from k3s_rootless.finding import Mender, Remedy


@dataclass(frozen=True, slots=True)
class Signature:
    """One known cause; `literal` stands in each line that `pattern` matches, and makes the search cheap.

    `fatal` is false for what K3s survives: it is a cause only where K3s died in the same line, or where nothing else is found.
    """

    id: str
    check: str
    title: str
    literal: str
    pattern: re.Pattern[str]
    remedy: Remedy
    fatal: bool = True


def _administrator(text: str, *commands: str) -> Remedy:
    return Remedy(Mender.ADMINISTRATOR, text, commands)


def _user(text: str, *commands: str) -> Remedy:
    return Remedy(Mender.USER, text, commands)


def _sysctl(key: str, value: str) -> Remedy:
    line = f"echo '{key}={value}' | sudo tee -a /etc/sysctl.d/60-k3s-rootless.conf"
    return _administrator(f"set {key}={value}", line, "sudo sysctl --system")


def _known(
    identifier: str, check: str, title: str, literal: str, pattern: str, remedy: Remedy, *, fatal: bool = True
) -> Signature:
    return Signature(identifier, check, title, literal, re.compile(pattern), remedy, fatal)


_CLONE = _sysctl("kernel.unprivileged_userns_clone", "1")
_FORWARD = _sysctl("net.ipv4.ip_forward", "1")
_NAMESPACES = _sysctl("user.max_user_namespaces", "28633")
_DELEGATION = _administrator("find out what the delegation lacks, and mend that", "k3s-rootless check cgroup.delegation")
_AS_UNIT = _user("run K3s as its unit, which asks for delegation", "k3s-rootless up")
_SUBIDS = _administrator(
    "give the user 65536 ids in /etc/subuid and /etc/subgid that nobody else has", "k3s-rootless check subid"
)
_EDIT = "systemctl --user edit k3s-rootless"
_NO_CIDR = _user(
    "name an IPv4 network such as 10.41.0.0/16, with a prefix of 1 to 25, or none at all",
    f"{_EDIT}  # Environment=K3S_ROOTLESS_CIDR=",
)
_NO_MTU = _user("name an MTU of 1 to 65521, or none at all", f"{_EDIT}  # Environment=K3S_ROOTLESS_MTU=")
_SLIRP = _administrator("install slirp4netns 1.0 or later, or use a k3s of K3s's own releases, which brings it along")
_FUSE = _administrator("install the package fuse3, and load the module fuse", "sudo modprobe fuse")
_OVERLAY = _user("use the snapshotter fuse-overlayfs, or a --data-dir on local ext4 or xfs")
_BINARY = _user("write the unit anew, with the path of the k3s that is there", "k3s-rootless check k3s", "k3s-rootless up")
_PORTS = _user("see which program holds the port, and free it", "k3s-rootless ports")

SIGNATURES = (
    _known("exec-failed", "k3s.binary", "systemd cannot run {path}", " executable ",
           r"Failed to locate executable (?P<path>\S+):", _BINARY),
    _known("exec-failed", "k3s.binary", "systemd cannot run {path}: {why}", "Failed at step EXEC",
           r"Failed at step EXEC spawning (?P<path>\S+): (?P<why>.+)", _BINARY),
    _known("exec-failed", "k3s.binary", "systemd cannot run the program of the unit", "203/EXEC",
           r"status=203/EXEC", _BINARY),
    _known("config-unreadable", "k3s.config", "{path} is there, and this user may not read it", "/etc/rancher/k3s/config.yaml",
           r"open (?P<path>/etc/rancher/k3s/config\.yaml(\.d)?[^\s:]*): permission denied",
           _user("have K3s read a file of your own", f"{_EDIT}  # Environment=K3S_CONFIG_FILE=%h/k3s.yaml")),
    _known("userns-sysctl", "userns.sysctl", "kernel.unprivileged_userns_clone is {got}, not 1", "expected sysctl value",
           r'"kernel\.unprivileged_userns_clone" to be "\d+", got "(?P<got>\d+)"', _CLONE),
    _known("ip-forward", "sysctl.ip_forward", "net.ipv4.ip_forward is {got}, not 1", "expected sysctl value",
           r'"net\.ipv4\.ip_forward" to be "\d+", got "(?P<got>\d+)"', _FORWARD),
    _known("ip-forward", "sysctl.ip_forward", "net.ipv4.ip_forward is off, and Pods cannot set it", "net/ipv4/ip_forward",
           r"can't create /proc/sys/net/ipv4/ip_forward: Read-only file system", _FORWARD, fatal=False),
    _known("userns-max", "userns.max", "no more user namespaces can be made", "/proc/self/exe: no space left",
           r"failed to start the child: fork/exec /proc/self/exe: no space left on device", _NAMESPACES),
    _known("userns-max", "userns.max", "few or no user namespaces can be made", "/proc/sys/user/max_user_namespaces",
           r"/proc/sys/user/max_user_namespaces(=\d+ may be low| needs to be set)", _NAMESPACES,
           fatal=False),
    _known("userns-forbidden", "userns.create", "K3s may not make a user namespace: {why}", "fork/exec /proc/self/exe",
           r"failed to start the child: fork/exec /proc/self/exe: (?P<why>operation not permitted|permission denied)",
           _administrator("find out what forbids it: AppArmor (Ubuntu), a sysctl, a container", "k3s-rootless check userns")),
    _known("idmap-missing", "uidmap.{program}", "{program} is not on the unit's PATH", "executable file not found in $PATH",
           r"failed to setup UID/GID map: (?P<program>new[ug]idmap) .*executable file not found in \$PATH",
           _administrator("install the package with newuidmap and newgidmap", "k3s-rootless check uidmap")),
    _known("idmap-powerless", "uidmap.{program}", "{program} has lost its privilege to map ids", "idmap: ",
           r"(?P<program>new[ug]idmap): (Could not set caps|write to [ug]id_map failed: Operation not permitted)",
           _administrator("give newuidmap and newgidmap their privilege back", "k3s-rootless check uidmap")),
    _known("subid-missing", "subid.{kind}", "no {kind} range for {user} (uid {uid})", " ranges found for user ",
           r'No (?P<kind>sub[ug]id) ranges found for user (?P<uid>\d+) \("(?P<user>[^"]*)"\)', _SUBIDS),
    _known("subid-missing", "subid", "the user is not in the user database", "no matching entries in passwd file",
           r"failed to compute uid\S* map: no matching entries in passwd file", _SUBIDS),
    _known("subid-malformed", "subid", "{file} is malformed", "Cannot parse subuid/gid information",
           r"Cannot parse subuid/gid information: Format not correct for (?P<file>\S+) file", _SUBIDS),
    _known("state-locked", "k3s.running", "another K3s of this user holds {path}", "another RootlessKit is running",
           r"failed to lock (?P<path>\S+), another RootlessKit is running",
           _user("stop the other one: one rootless K3s for each user", "k3s-rootless status")),
    _known("mtu-negative", "env.K3S_ROOTLESS_MTU", "K3S_ROOTLESS_MTU is no MTU", "mtu", r"got negative mtu", _NO_MTU),
    _known("mtu-negative", "env.K3S_ROOTLESS_MTU", "K3S_ROOTLESS_MTU is no MTU", "MTU must be",
           r"MTU must be a positive integer", _NO_MTU),
    _known("cidr-invalid", "env.K3S_ROOTLESS_CIDR", "{cidr} is no network for K3S_ROOTLESS_CIDR", "invalid CIDR",
           r'invalid CIDR( address)?: (?P<cidr>[^\s"]+)', _NO_CIDR),
    _known("cidr-invalid", "env.K3S_ROOTLESS_CIDR", "K3S_ROOTLESS_CIDR names a host, not a network", "CIDR prefix",
           r"host identifier bits must not be set in CIDR prefix", _NO_CIDR),
    _known("cidr-invalid", "env.K3S_ROOTLESS_CIDR", "K3S_ROOTLESS_CIDR names a host, not a network", "cidr must be like",
           r"cidr must be like \S+, not like \S+", _NO_CIDR),
    _known("cidr-invalid", "env.K3S_ROOTLESS_CIDR", "K3S_ROOTLESS_CIDR has no prefix of {range}", "prefix length needs",
           r"prefix length needs to be (?P<range>\d+-\d+)", _NO_CIDR),
    _known("slirp4netns-missing", "k3s.slirp4netns", "slirp4netns is not on the unit's PATH", "slirp4netns",
           r'exec: "slirp4netns": executable file not found', _SLIRP),
    _known("slirp4netns-old", "k3s.slirp4netns", "slirp4netns is too old", "slirp4netns",
           r"slirp4netns seems older than v[\d.]+|this version of slirp4netns does not support --\S+", _SLIRP),
    _known("slirp4netns-failed", "k3s.slirp4netns", "slirp4netns ended instead of making the network", "waiting for ready fd",
           r"waiting for ready fd \(.*slirp4netns .*\): slirp4netns (failed|killed by signal)", _SLIRP),
    _known("cgroup-evacuation", "k3s.version", "this release cannot clear its root cgroup (K3s #13667)", "evacuate root cgroup",
           r"failed to evacuate root cgroup", _user("use a later release of the same line", "k3s-rootless check k3s.version")),
    _known("cgroup-controller", "cgroup.delegation.{controller}", "the controller {controller} is not delegated", " cgroup",
           r"failed to find (?P<controller>cpu|cpuset|memory) cgroup\b", _DELEGATION),
    _known("cgroup-controller", "cgroup.delegation.pids", "the controller pids is not delegated", "pids cgroup controller",
           r"pids cgroup controller not found", _DELEGATION),
    _known("cgroup-delegation", "cgroup.delegation", "no controllers are delegated to K3s", "delegated",
           r"delegated cgroup v2 controllers are required", _AS_UNIT),
    _known("cgroup-delegation", "cgroup.delegation", "K3s runs without cgroups: none is delegated", "Disabling cgroup",
           r"cgroup v2 controllers are not delegated for rootless", _AS_UNIT, fatal=False),
    _known("cgroup-delegation", "cgroup.delegation", "K3s does not run in a cgroup of its own", "cgroup2 evacuation",
           r"[Cc]annot set cgroup2 evacuation, make sure to run k3s as a systemd unit", _AS_UNIT, fatal=False),
    _known("snapshotter-fuse", "k3s.snapshotter", "fuse-overlayfs does not work: mount.fuse3 is missing", "mount.fuse3",
           r'exec: "mount\.fuse3": executable file not found', _FUSE),
    _known("snapshotter-fuse", "k3s.snapshotter", "fuse-overlayfs does not work here", "fuse-overlayfs",
           r'"?fuse-overlayfs"? snapshotter cannot be enabled|fuse-overlayfs not functional', _FUSE),
    _known("snapshotter-fuse", "k3s.snapshotter", "fuse-overlayfs does not work: there is no fuse", "fuse: ",
           r"fuse: device not found, try 'modprobe fuse' first|failed to exec fusermount3", _FUSE),
    _known("snapshotter-overlay", "k3s.snapshotter", "overlayfs does not work here: {why}", "snapshotter cannot be enabled",
           r'"?overlayfs"? snapshotter cannot be enabled for .*failed to mount overlay: (?P<why>[\w ]+)', _OVERLAY),
    _known("snapshotter-overlay", "k3s.snapshotter", "overlayfs does not work on {path}", "overlayfs: filesystem",
           r"overlayfs: filesystem on '(?P<path>[^']+)' not supported as upperdir", _OVERLAY),
    _known("snapshotter-overlay", "k3s.snapshotter", "overlayfs cannot be mounted", "rootfs component &{overlay",
           r"failed to mount rootfs component &\{overlay", _OVERLAY, fatal=False),
    _known("snapshotter-overlay", "k3s.snapshotter", "overlayfs needs a file system with d_type", "d_type",
           r"does not support d_type", _OVERLAY),
    _known("forward-failed", "ports.conflict", "K3s cannot make all forwards: {why}", "handler rootlessports: ",
           r"error syncing '_all_': handler rootlessports: (?P<why>.*?)(, requeuing|\"?$)", _PORTS, fatal=False),
    _known("address-taken", "ports.conflict", "an address that K3s needs is taken: {address}", "bind: address already in use",
           r"listen \w+ (?P<address>\S+): bind: address already in use", _PORTS, fatal=False),
)  # fmt: skip
"""`# fmt: skip`, since a table is read by its columns."""
