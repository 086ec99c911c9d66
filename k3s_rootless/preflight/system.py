"""What the host and the session must offer: systemd, control groups, sysctls and user namespaces."""

from __future__ import annotations

import errno
from collections.abc import Callable
from shlex import quote

from k3s_rootless.finding import Mender, Remedy, Verdict
from k3s_rootless.observation import Observed, Unknown
from k3s_rootless.preflight import remedies
from k3s_rootless.preflight.facts import CgroupMode, Facts
from k3s_rootless.preflight.judgement import Checklist, Judgement, failed, passed, unknown

check = Checklist()


@check("user.nonroot", "An ordinary user")
def user_nonroot(facts: Facts) -> Judgement:
    """Rootless K3s as root would be K3s in a user namespace of root's: upstream calls it unsupported."""
    if facts.uid == 0:
        remedy = Remedy(Mender.USER, "run k3s-rootless as the ordinary user who shall own K3s, without sudo")
        return failed("uid 0", "root needs no rootless K3s, and rootless K3s as root is not supported", remedy)
    return passed(f"{facts.user} (uid {facts.uid})")


@check("systemd.booted", "systemd runs this host")
def systemd_booted(facts: Facts) -> Judgement:
    """K3s's rootless unit is a unit of systemd."""
    if not facts.systemd_booted:
        remedy = Remedy(Mender.NOBODY, "use a host whose init is systemd")
        return failed("another init", "rootless K3s runs as a unit of systemd, and this host has none", remedy)
    return passed("yes", "/run/systemd/system")


@check("session.runtime_dir", "Runtime directory of the session")
def session_runtime_dir(facts: Facts) -> Judgement:
    """XDG_RUNTIME_DIR leads to the user manager; su and sudo leave somebody else's in the environment."""
    runtime = facts.runtime
    if not runtime.exists:
        reason = "there is no session of this user: systemd made no runtime directory"
        return failed(f"{runtime.path} does not exist, or is no directory", reason, remedies.session())
    if runtime.owner != facts.uid:
        observed = f"{runtime.path} belongs to uid {runtime.owner}"
        return failed(observed, "XDG_RUNTIME_DIR is another user's", remedies.runtime_directory(runtime.path, facts.uid))
    if runtime.mode & 0o077:
        remedy = Remedy(Mender.USER, "close the directory to others", (f"chmod 700 {quote(runtime.path)}",))
        return Judgement(Verdict.WARN, f"{runtime.path}, mode {runtime.mode:04o}", "", "others can look into it", remedy)
    origin = "XDG_RUNTIME_DIR" if runtime.given else "derived from the uid, XDG_RUNTIME_DIR is not set"
    return passed(runtime.path, origin)


@check("systemd.user", "User manager on its bus")
def systemd_user(facts: Facts) -> Judgement:
    """`systemd --user` must answer over D-Bus."""
    manager = facts.user_manager
    if isinstance(manager, Unknown):
        missing_bus = facts.runtime.exists and facts.runtime.owner == facts.uid
        remedy = remedies.bus() if missing_bus else remedies.session()
        return failed("no answer", manager.reason, remedy)
    return passed(f"systemd {manager.value}", manager.source)


@check("cgroup.v2", "Control groups, version 2 alone")
def cgroup_v2(facts: Facts) -> Judgement:
    """Since v1.22 K3s needs delegated controllers of cgroup v2; beside v1, v2 has none of them."""
    mode = facts.cgroup
    if isinstance(mode, Unknown):
        return unknown(mode.reason)
    if mode.value is not CgroupMode.UNIFIED:
        return failed(mode.value.value, "rootless K3s needs the controllers on cgroup v2", remedies.unified(), mode.source)
    return passed(mode.value.value, mode.source)


def _delegation(controller: str) -> Callable[[Facts], Judgement]:
    def judge_controller(facts: Facts) -> Judgement:
        """Judge by what a unit with Delegate=yes was given: what lies above it can hold more (systemd 257)."""
        reach = facts.delegation
        if isinstance(reach.effective, Unknown):
            return unknown(reach.effective.reason)
        if controller in reach.effective.value:
            return passed("delegated", reach.effective.source)
        observed, reason, remedy = _missing(controller, facts)
        if controller == "io":
            # K3s starts without io (its pkg/cgroups validates cpu, cpuset and memory, the kubelet pids).
            return Judgement(Verdict.WARN, observed, reach.effective.source, reason, remedy)
        return failed(observed, reason, remedy, reach.effective.source)

    return judge_controller


def _missing(controller: str, facts: Facts) -> tuple[str, str, Remedy]:
    reach = facts.delegation
    if not isinstance(reach.kernel, Unknown) and controller not in reach.kernel.value:
        reason = f"cgroup v2 of this host has no {controller} controller: it is disabled, or bound to cgroup v1"
        return "not offered by the kernel", reason, remedies.kernel_controller(controller, reach.kernel.value)
    if _has(reach.realized, controller):
        reason = f"user@{facts.uid}.service has {controller}, and its running manager does not pass it on"
        return "realized, not effective", reason, remedies.reexecute()
    if _has(reach.configured, controller):
        reason = f"{controller} is configured, and user@{facts.uid}.service runs without it since before"
        return "configured, not realized", reason, remedies.realize()
    return "not delegated", f"a unit of this user is not given {controller}", remedies.delegate()


def _has(controllers: Observed[frozenset[str]], controller: str) -> bool:
    return not isinstance(controllers, Unknown) and controller in controllers.value


for _name in ("cpu", "cpuset", "memory", "pids", "io"):
    check(f"cgroup.delegation.{_name}", f"Controller {_name} delegated")(_delegation(_name))


@check("sysctl.ip_forward", "net.ipv4.ip_forward")
def ip_forward(facts: Facts) -> Judgement:
    """K3s dies at once where it is not 1 (K3s pkg/rootless/rootless.go, validateSysctl)."""
    return _sysctl_is_one(facts, "net.ipv4.ip_forward")


@check("userns.sysctl", "kernel.unprivileged_userns_clone")
def userns_sysctl(facts: Facts) -> Judgement:
    """K3s dies at once where this key of some distributions exists and is not 1."""
    return _sysctl_is_one(facts, "kernel.unprivileged_userns_clone")


def _sysctl_is_one(facts: Facts, key: str) -> Judgement:
    found = facts.sysctls[key]
    if isinstance(found, Unknown):
        return unknown(found.reason)
    if found.value is None:
        return passed("this kernel has no such switch", found.source)
    if found.value != "1":
        return failed(found.value, f"K3s refuses to start unless {key} is 1", remedies.sysctl(key, "1"), found.source)
    return passed(found.value, found.source)


@check("userns.max", "user.max_user_namespaces")
def userns_max(facts: Facts) -> Judgement:
    """0 forbids user namespaces; below 1024 rootlesskit warns (rootlesskit pkg/parent/warn.go)."""
    key = "user.max_user_namespaces"
    found = facts.sysctls[key]
    if isinstance(found, Unknown):
        return unknown(found.reason)
    if found.value is None or not (found.value.isascii() and found.value.isdecimal() and len(found.value) < 20):
        return unknown(f"{found.source} does not hold a number")
    if int(found.value) == 0:
        return failed("0", "no user namespace can be made", remedies.sysctl(key, "28633"), found.source)
    if int(found.value) < 1024:
        remedy = remedies.sysctl(key, "28633")
        return Judgement(Verdict.WARN, found.value, found.source, "may be too few for many pods", remedy)
    return passed(found.value, found.source)


@check("userns.create", "A user namespace can be made")
def userns_create(facts: Facts) -> Judgement:
    """The functional proof, in a child that ends at once."""
    found = facts.namespace
    if isinstance(found, Unknown):
        return unknown(found.reason)
    if found.value == 0:
        return passed("made one", found.source)
    name = errno.errorcode.get(found.value, str(found.value))
    if found.value == errno.ENOSPC:
        reason, remedy = "the limit of user namespaces is reached", remedies.sysctl("user.max_user_namespaces", "28633")
    else:
        reason = "the kernel or a security module forbids user namespaces to unprivileged users"
        remedy = Remedy(
            Mender.ADMINISTRATOR,
            "allow user namespaces: see the checks above, the AppArmor restriction of Ubuntu, or the container we run in",
            ("sysctl kernel.apparmor_restrict_unprivileged_userns kernel.unprivileged_userns_clone",),
        )
    return failed(name, reason, remedy, found.source)
