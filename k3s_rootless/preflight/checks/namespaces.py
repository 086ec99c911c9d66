"""Checks that the namespaces that K3s runs in can be created."""

from __future__ import annotations

import errno

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks.judgement import (
    FATAL,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.checks.sysctls import number, sysctl_is_one
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Confinement, Trial
from k3s_rootless.preflight.remedies import host

check = Checklist()
_OTHERS = frozenset(
    f"user.max_{kind}_namespaces" for kind in ("mnt", "pid", "net", "cgroup", "uts", "ipc")
)
_ONLY_THIS_PROGRAM = (
    "AppArmor does not allow it for k3s-rootless; userns.apparmor checks whether k3s is allowed"
)


@check("userns.sysctl", "kernel.unprivileged_userns_clone", FATAL, "sysctls")
def userns_sysctl(facts: Facts) -> Judgement:
    """Check a sysctl of some distributions: if it exists and is not 1, K3s exits at once."""
    return sysctl_is_one(facts, "kernel.unprivileged_userns_clone")


@check("userns.max", "user.max_user_namespaces", FATAL, "sysctls")
def userns_max(facts: Facts) -> Judgement:
    """Check the limit of user namespaces.

    0 forbids them. Below 1024, rootlesskit warns (rootlesskit pkg/parent/warn.go).
    """
    key = "user.max_user_namespaces"
    found = facts.sysctls[key]
    if isinstance(found, Unknown):
        return unknown(found.reason)
    limit = number(found.value)
    if limit is None:
        return unknown(f"{found.source} does not contain a number")
    if limit == 0:
        return failed(
            "0", "no user namespace can be created", host.sysctl(key, "28633"), found.source
        )
    if limit < 1024:
        return warned(
            str(limit), "this can be too low for many pods", host.sysctl(key, "28633"), found.source
        )
    return passed(str(limit), found.source)


@check("userns.limits", "Limits of other namespaces", FATAL, "sysctls")
def userns_limits(facts: Facts) -> Judgement:
    """Check the limits of the other namespaces.

    Each pod uses a network, a mount, a PID, an IPC and a UTS namespace. All of them count for the
    user (namespaces(7)).
    """
    limits: list[tuple[int, str]] = []
    for key, found in facts.sysctls.items():
        if key not in _OTHERS:
            continue
        if isinstance(found, Unknown):
            return unknown(found.reason)
        known = number(found.value)
        if known is not None:
            limits.append((known, key))
    if not limits:
        return passed("no limits in this kernel")
    # If several kinds have the same limit, the finding names the first one.
    limit, key = min(limits, key=lambda one: one[0])
    if limit == 0:
        return failed(
            f"{key} = 0",
            "K3s needs namespaces of each kind",
            host.sysctl(key, "28633"),
            "/proc/sys/user",
        )
    if limit < 256:
        return warned(
            f"{key} = {limit}",
            "this can be too low for many pods",
            host.sysctl(key, "28633"),
            "/proc/sys/user",
        )
    return passed(f"{limit} or more", "/proc/sys/user")


@check.seen("userns.apparmor", "AppArmor profile of k3s", FATAL, "confinement", "k3s")
def userns_apparmor(facts: Facts, seen: Known[Confinement]) -> Judgement:
    """Check that AppArmor allows k3s to create user namespaces.

    Ubuntu allows it only to programs with their own profile. The path of k3s counts, not the path
    of this program (K3s #12711).
    """
    if not seen.value.restricted:
        return passed("not needed: user namespaces are not restricted", seen.source)
    label = seen.value.label
    if isinstance(label, Unknown):
        return unknown(f"AppArmor restricts user namespaces on this host; {label.reason}")
    if label.value != "unconfined":
        return passed(label.value, label.source)
    reason = (
        "AppArmor restricts user namespaces on this host (EPERM or EACCES), and no profile matches"
        " the path of k3s"
    )
    return failed(
        "none",
        reason,
        host.apparmor(facts.k3s.path or "/usr/local/bin/k3s"),
        label.source,
    )


@check.seen("userns.create", "Creation of user namespaces", FATAL, "trial", "confinement", "k3s")
def userns_create(facts: Facts, seen: Known[Trial]) -> Judgement:
    """Check that a user namespace can be created; a child of this program has tried it."""
    if seen.value.user == 0:
        return passed("works", seen.source)
    return _refused(facts, "user", seen.value.user, "unshare(CLONE_NEWUSER)")


@check.seen("userns.spaces", "Creation of other namespaces", FATAL, "trial", "confinement", "k3s")
def userns_spaces(facts: Facts, seen: Known[Trial]) -> Judgement:
    """Check that the other namespaces of K3s can be created.

    rootlesskit creates a mount, PID, network, cgroup, UTS and IPC namespace inside the user
    namespace.
    """
    if seen.value.user:
        if confined_itself(facts):
            return info("not tried", _ONLY_THIS_PROGRAM, seen.source)
        return unknown("no user namespace could be created for this check; see userns.create")
    for name, code in seen.value.spaces.items():
        if code:
            return _refused(facts, name, code, f"unshare of the {name} namespace")
    return passed(", ".join(seen.value.spaces), seen.source)


def confined_itself(facts: Facts) -> bool:
    """Return whether AppArmor restricts this program, but not k3s.

    If the AppArmor label of k3s is unknown, the result is true as well.
    """
    found = facts.confinement
    if isinstance(found, Unknown) or not found.value.restricted:
        return False
    label = found.value.label
    return isinstance(label, Unknown) or label.value != "unconfined"


def _refused(facts: Facts, name: str, code: int, source: str) -> Judgement:
    observed = f"{errno.errorcode.get(code, str(code))} ({name} namespace)"
    if code == errno.ENOSPC:
        key = f"user.max_{name}_namespaces"
        return failed(
            observed,
            f"the limit of {name} namespaces is reached",
            host.sysctl(key, "28633"),
            source,
        )
    if code == errno.EINVAL:
        remedy = Remedy(FixableBy.ADMINISTRATOR, "boot a kernel with all kinds of namespaces")
        return failed(observed, f"this kernel has no {name} namespaces", remedy, source)
    if confined_itself(facts):
        return info(observed, _ONLY_THIS_PROGRAM, source)
    if isinstance(facts.confinement, Known) and facts.confinement.value.restricted:
        reason = "AppArmor restricts user namespaces on this host; see userns.apparmor"
        return failed(
            observed, reason, host.apparmor(facts.k3s.path or "/usr/local/bin/k3s"), source
        )
    return failed(
        observed,
        "the kernel, a security module or the container does not allow it",
        host.user_namespaces(),
        source,
    )
