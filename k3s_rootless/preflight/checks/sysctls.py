"""Checks of the kernel settings in /proc/sys."""

from __future__ import annotations

from collections.abc import Callable

from k3s_rootless.observation import Unknown
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    INFORMATIVE,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.remedies import host

check = Checklist()


def sysctl_is_one(facts: Facts, key: str) -> Judgement:
    """Judge a sysctl that K3s reads first and requires to be 1."""
    found = facts.sysctls[key]
    if isinstance(found, Unknown):
        return unknown(found.reason)
    if found.value is None:
        return passed("not in this kernel", found.source)
    if found.value != "1":
        return failed(
            found.value,
            f"K3s does not start unless {key} is 1",
            host.sysctl(key, "1"),
            found.source,
        )
    return passed(found.value, found.source)


def number(text: str | None) -> int | None:
    """Parse a number from /proc/sys; None if the text is not a number."""
    if not text or len(text) >= 20:
        return None
    return int(text) if text.isascii() and text.isdecimal() else None


@check("sysctl.ip_forward", "net.ipv4.ip_forward", FATAL, "sysctls")
def ip_forward(facts: Facts) -> Judgement:
    """Check net.ipv4.ip_forward: if it is not 1, K3s exits at once.

    Source: K3s pkg/rootless/rootless.go, validateSysctl.
    """
    return sysctl_is_one(facts, "net.ipv4.ip_forward")


def _limit(key: str, least: int, good: int, reason: str) -> Callable[[Facts], Judgement]:
    def judge_limit(facts: Facts) -> Judgement:
        """Check a limit: below `least`, pods fail soon; below `good`, many pods fail."""
        found = facts.sysctls[key]
        if isinstance(found, Unknown):
            return unknown(found.reason)
        limit = number(found.value)
        if limit is None:
            return passed("no such limit in this kernel", found.source)
        remedy = host.sysctl(key, str(good))
        if limit < least:
            return warned(str(limit), reason, remedy, found.source)
        if limit < good:
            return info(
                str(limit), f"enough for a few pods; with many pods, {reason}", found.source, remedy
            )
        return passed(str(limit), found.source)

    return judge_limit


# All containers of a user count for the user (inotify(7), keyrings(7)). The defaults of the kernel
# are 128, 8192 or more, and 200.
for _id, _key, _least, _good, _reason in (
    (
        "inotify_instances",
        "fs.inotify.max_user_instances",
        128,
        1024,
        "programs fail with `too many open files`",
    ),
    (
        "inotify_watches",
        "fs.inotify.max_user_watches",
        8192,
        524288,
        "programs fail with `no space left on device`",
    ),
    ("keys", "kernel.keys.maxkeys", 200, 200, "containers fail with `disk quota exceeded`"),
):
    check(f"sysctl.{_id}", _key, DEGRADED, "sysctls")(_limit(_key, _least, _good, _reason))


@check("sysctl.port_start", "net.ipv4.ip_unprivileged_port_start", FATAL, "sysctls")
def port_start(facts: Facts) -> Judgement:
    """Check that an ordinary user can listen on the port of the API.

    K3s forwards its API on the host, by default at port 6443. A lower start of the unprivileged
    ports does not remove the offset of Service ports (K3s pkg/rootlessports).
    """
    key = "net.ipv4.ip_unprivileged_port_start"
    port = facts.server.https_port
    found = facts.sysctls[key]
    if isinstance(found, Unknown):
        return unknown(found.reason)
    start = number(found.value)
    if start is None:
        return passed("no such setting in this kernel", found.source)
    if start > port:
        return failed(
            str(start),
            f"K3s is not allowed to listen on port {port} of the host",
            host.sysctl(key, "1024"),
            found.source,
        )
    if start < 1024:
        return info(str(start), "K3s still adds 10000 to Service ports up to 1024", found.source)
    return passed(str(start), found.source)


@check("sysctl.ping", "net.ipv4.ping_group_range", INFORMATIVE, "sysctls")
def ping(facts: Facts) -> Judgement:
    """Report whether ping works in pods without more privileges (icmp(7))."""
    key = "net.ipv4.ping_group_range"
    found = facts.sysctls[key]
    if isinstance(found, Unknown):
        return unknown(found.reason)
    if found.value and _holds(found.value, facts.gid):
        return passed(found.value, found.source)
    reason = "ping in pods needs the capability NET_RAW"
    return info(found.value or "none", reason, found.source, host.sysctl(key, "0 2147483647"))


def _holds(bounds: str, group: int) -> bool:
    """Return whether a range, written as two numbers, contains a group."""
    numbers = [number(word) for word in bounds.split()]
    if len(numbers) != 2:
        return False
    first, last = numbers
    return first is not None and last is not None and first <= group <= last
