"""Rows for every verdict that each check can return.

A row has what is changed on a healthy host, and the finding that the check must then return.
"""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from k3s_rootless.finding import FixableBy, Verdict
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.facts import CgroupMode, K3sBinary, MapProgram, SubidRange
from k3s_rootless.preflight.records import Offer
from tests.preflight import host_rows
from tests.preflight.row import ADMIN, FAIL, INFO, PASS, UNFIXABLE, UNKNOWN, USER, WARN, Row, row
from tests.strategies import (
    DEFAULT,
    FIVE,
    HEALTHY,
    TRIED,
    delegation,
    k3s,
    map_program,
    runtime,
    sysctl,
)

FORWARD, CLONE, LIMIT = tuple(HEALTHY.sysctls)[:3]


def _sysctl(
    check: str, verdict: Verdict, expected: str, fixable_by: FixableBy | None, *setting: Any
) -> Row:
    return Row(check, verdict, sysctl(*setting), expected, fixable_by)


def _controller(name: str, verdict: Verdict) -> Row:
    without = delegation(FIVE - {name}, realized=FIVE - {name}, configured=FIVE - {name})
    expected = f"does not delegate {name} to units of this user"
    return row(f"cgroup.delegation.{name}", verdict, expected, ADMIN, delegation=without)


def _tried(
    check: str, verdict: Verdict, expected: str, fixable_by: FixableBy | None, **changes: Any
) -> Row:
    return row(
        check, verdict, expected, fixable_by, trial=Known(replace(TRIED, **changes), "a child")
    )


_SESSION = (
    row("user.nonroot", PASS, "alice (uid 1000)", None),
    row("user.nonroot", FAIL, "not supported for root", USER, uid=0, runtime=runtime(owner=0)),
    row("systemd.booted", PASS, "systemd", None),
    row("systemd.booted", FAIL, "runs as a unit of systemd", UNFIXABLE, systemd_booted=False),
    row("session.runtime_dir", PASS, "/run/user/1000", None, runtime=runtime(given=False)),
    row(
        "session.runtime_dir",
        FAIL,
        "/run/user/1000 does not exist",
        USER,
        runtime=runtime(exists=False, owner=-1, mode=0),
    ),
    row(
        "session.runtime_dir",
        FAIL,
        "belongs to uid 0",
        USER,
        runtime=runtime("/run/user/0", owner=0),
    ),
    row("session.runtime_dir", WARN, "mode 0755", USER, runtime=runtime("/tmp/it's", mode=0o755)),
    row("systemd.user", PASS, "systemd 257", None),
    row(
        "systemd.user",
        FAIL,
        "connection refused",
        ADMIN,
        user_manager=Unknown("connection refused"),
    ),
)
_CGROUPS = (
    row("cgroup.v2", PASS, "cgroup v2 only", None),
    *(
        row("cgroup.v2", FAIL, mode.value, ADMIN, cgroup=Known(mode))
        for mode in (CgroupMode.HYBRID, CgroupMode.LEGACY, CgroupMode.ABSENT)
    ),
    row("cgroup.v2", UNKNOWN, "0xef53", None, cgroup=Unknown("magic number 0xef53")),
    row("cgroup.delegation.cpuset", PASS, "delegated", None),
    *(_controller(name, FAIL) for name in ("cpu", "cpuset", "memory", "pids")),
    _controller("io", WARN),
    row(
        "cgroup.delegation.pids",
        WARN,
        "runs pods without limits",
        ADMIN,
        delegation=delegation(
            FIVE - {"pids"}, realized=FIVE - {"pids"}, configured=FIVE - {"pids"}
        ),
        k3s=k3s("v1.21.14+k3s1"),
    ),
    row(
        "cgroup.delegation.memory",
        FAIL,
        "not available in cgroup v2",
        ADMIN,
        delegation=delegation(
            FIVE - {"memory"}, realized=FIVE - {"memory"}, kernel=FIVE - {"memory"}
        ),
    ),
    row(
        "cgroup.delegation.cpu",
        FAIL,
        "in use by cgroup v1",
        ADMIN,
        delegation=delegation(frozenset(), realized=frozenset(), kernel=frozenset()),
    ),
    row(
        "cgroup.delegation.cpuset",
        FAIL,
        "configured, not realized",
        USER,
        delegation=delegation(DEFAULT, realized=DEFAULT),
    ),
    row(
        "cgroup.delegation.cpuset",
        FAIL,
        "realized, not effective",
        USER,
        delegation=delegation(DEFAULT),
    ),
    row(
        "cgroup.delegation.io",
        WARN,
        "realized, not effective",
        USER,
        delegation=delegation(FIVE - {"io"}),
    ),
)
_KERNEL = (
    _sysctl("sysctl.ip_forward", PASS, "1", None, FORWARD, Known("1")),
    _sysctl("sysctl.ip_forward", PASS, "not in this kernel", None, FORWARD, Known(None)),
    _sysctl(
        "sysctl.ip_forward", FAIL, "unless net.ipv4.ip_forward is 1", ADMIN, FORWARD, Known("0")
    ),
    _sysctl("sysctl.ip_forward", FAIL, "2", ADMIN, FORWARD, Known("2")),
    _sysctl(
        "sysctl.ip_forward",
        UNKNOWN,
        "permission denied",
        None,
        FORWARD,
        Unknown("permission denied"),
    ),
    _sysctl("userns.sysctl", PASS, "1", None, CLONE, Known("1")),
    _sysctl(
        "userns.sysctl",
        FAIL,
        "unless kernel.unprivileged_userns_clone is 1",
        ADMIN,
        CLONE,
        Known("0"),
    ),
    _sysctl(
        "userns.sysctl", UNKNOWN, "permission denied", None, CLONE, Unknown("permission denied")
    ),
    _sysctl("userns.max", PASS, "1024", None, LIMIT, Known("1024")),
    _sysctl("userns.max", WARN, "too low for many pods", ADMIN, LIMIT, Known("1023")),
    _sysctl("userns.max", FAIL, "no user namespace can be created", ADMIN, LIMIT, Known("0")),
    _sysctl("userns.max", FAIL, "no user namespace can be created", ADMIN, LIMIT, Known("00")),
    *(
        _sysctl(
            "userns.max",
            UNKNOWN,
            "does not contain a number",
            None,
            LIMIT,
            Known(value, f"here, {ascii(value)[:9]},"),
        )
        for value in (None, "", "-1", "many", "\u0660", "9" * 5000)
    ),
    row("userns.create", PASS, "works", None),
    *(
        _tried("userns.create", FAIL, expected, ADMIN, user=code, spaces={})
        for code, expected in (
            (errno.EPERM, "the container does not allow it"),
            (errno.EACCES, "EACCES (user namespace)"),
            (errno.ENOSPC, "the limit of user namespaces is reached"),
            (errno.EINVAL, "this kernel has no user namespaces"),
            (4711, "4711"),
        )
    ),
    row("userns.create", UNKNOWN, "died first", None, trial=Unknown("the child died first")),
)


def _uidmap(
    name: str, verdict: Verdict, expected: str, fixable_by: FixableBy | None, **changes: Any
) -> Row:
    return row(
        f"uidmap.{name}", verdict, expected, fixable_by, **{name: map_program(name, **changes)}
    )


def _subid(
    kind: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    *ranges: tuple[int, int],
) -> Row:
    found = Known(tuple(SubidRange(*one) for one in ranges))
    return row(f"subid.{kind}", verdict, expected, fixable_by, **{kind: found})


_IDS = (
    *(
        one
        for name in ("newuidmap", "newgidmap")
        for one in (
            _uidmap(name, PASS, "setuid root", None),
            _uidmap(name, PASS, "with file capabilities", None, setuid=False, capable=True),
            _uidmap(
                name, FAIL, "is not setuid root and has no file capability", ADMIN, setuid=False
            ),
            _uidmap(
                name,
                FAIL,
                "is not setuid root and has no file capability",
                ADMIN,
                owner=1000,
                path="/opt/my own/newuidmap",
            ),
            _uidmap(name, FAIL, "on a nosuid mount", ADMIN, nosuid=True),
            _uidmap(
                name, FAIL, "on a nosuid mount", ADMIN, setuid=False, capable=True, nosuid=True
            ),
            row(f"uidmap.{name}", UNKNOWN, "locked", None, **{name: Unknown("it is locked")}),
        )
    ),
    *(
        row(
            "uidmap.newuidmap",
            FAIL,
            "not in the PATH of the unit",
            ADMIN,
            newuidmap=Known(MapProgram(None)),
            distribution=distribution,
        )
        for distribution in (
            "debian",
            "ubuntu debian",
            "fedora",
            "rocky rhel centos fedora",
            "opensuse-leap suse",
            "arch",
            "",
            "nixos",
        )
    ),
    *(
        one
        for kind in ("subuid", "subgid")
        for one in (
            _subid(kind, PASS, "100000:65536", None, (100000, 65536)),
            _subid(kind, PASS, "1:30000, 30001:35536", None, (1, 30000), (30001, 35536)),
            _subid(kind, FAIL, f"alice has no {kind} range", ADMIN),
            _subid(kind, FAIL, f"alice has no {kind} range", ADMIN, (100000, 0)),
            _subid(kind, FAIL, "runs as id 65535", ADMIN, (100000, 65534)),
            _subid(kind, PASS, "100000:65535", None, (100000, 65535)),
            _subid(kind, FAIL, "ranges overlap", ADMIN, (100000, 65536), (100000, 65536)),
            _subid(kind, FAIL, "ranges overlap", ADMIN, (165535, 65536), (100000, 65536)),
            row(f"subid.{kind}", UNKNOWN, "locked", None, **{kind: Unknown("it is locked")}),
        )
    ),
)


def _binary(
    check: str,
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    binary: K3sBinary,
    machine: str = "x86_64",
) -> Row:
    return row(check, verdict, expected, fixable_by, k3s=binary, machine=machine)


_K3S = (
    _binary("k3s.binary", PASS, "/usr/local/bin/k3s", None, k3s()),
    *(
        _binary("k3s.binary", FAIL, "k3s is not in PATH", USER, K3sBinary(None), machine)
        for machine in ("x86_64", "aarch64", "armv7l", "riscv64")
    ),
    _binary("k3s.binary", FAIL, "cannot be executed", USER, K3sBinary("/home/o'brien/k3s")),
    _binary(
        "k3s.binary", FAIL, "/opt belongs to uid 1001", USER, k3s(risk="/opt belongs to uid 1001")
    ),
    *(
        _binary("k3s.version", PASS, text, None, k3s(text))
        for text in ("v1.21.2+k3s1", "v1.36.0+k3s1", "v1.37.1+k3s1")
    ),
    *(
        _binary("k3s.version", FAIL, "exists since v1.21", USER, k3s(text))
        for text in ("v0.9.1", "v1.20.15+k3s1")
    ),
    _binary("k3s.version", FAIL, "this release cannot start rootless", USER, k3s("v1.35.1+k3s1")),
    _binary("k3s.version", WARN, "newer than v1.37", USER, k3s("v1.38.0+k3s1")),
    _binary("k3s.version", FAIL, "gave no answer", USER, k3s(version=Unknown("it gave no answer"))),
    _binary("k3s.version", UNKNOWN, "no k3s binary could be run", None, k3s(version=None)),
)


def _support(
    verdict: Verdict,
    expected: str,
    fixable_by: FixableBy | None,
    release: str,
    *offers: str,
) -> Row:
    date = datetime(2026, 11, 27, tzinfo=UTC)
    known = Known(tuple(Offer(one, date) for one in offers), "channels.json")
    return row("k3s.support", verdict, expected, fixable_by, k3s=k3s(release), offers=known)


_OFFERS = ("v1.36.3+k3s1", "v1.37.0-rc1+k3s1", "v1.35.7+k3s2", "v1.34.9+k3s1", "v1.33.13+k3s2")
_SUPPORT = (
    _support(PASS, "no newer v1.36 as known on 2026-11-27", None, "v1.36.3+k3s1", *_OFFERS),
    _support(PASS, "no newer v1.37", None, "v1.37.0+k3s1", *_OFFERS),
    _support(PASS, "no newer v1.34", None, "v1.34.9+k3s1", "v1.36.3+k3s1"),
    _support(PASS, "no newer v1.36", None, "v1.36.3+k3s-30638072", *_OFFERS),
    _support(INFO, "v1.36.3+k3s1 is available", None, "v1.36.2+k3s1", *_OFFERS),
    _support(INFO, "v1.35.7+k3s2 is available", None, "v1.35.7+k3s1", *_OFFERS),
    _support(INFO, "up --get v1.34.9+k3s1 --restart", None, "v1.34.9-rc1+k3s1", *_OFFERS),
    _support(WARN, "newest one is v1.36 (as known on 2026", USER, "v1.33.13+k3s2", *_OFFERS),
    _support(WARN, "v1.21.2+k3s1, out of support", USER, "v1.21.2+k3s1", "v1.36.3+k3s1"),
    _support(INFO, "has not been run yet", None, "v1.36.3+k3s1", "v1.37.0-rc1+k3s1", "junk"),
    row("k3s.support", INFO, "release list --remote", None, offers=Known((), "channels.json")),
    row("k3s.support", UNKNOWN, "cannot be read", None, offers=Unknown("it cannot be read")),
    row("k3s.support", UNKNOWN, "see k3s.binary", None, k3s=k3s(version=None)),
)
ROWS = (*_SESSION, *_CGROUPS, *_KERNEL, *_IDS, *_K3S, *_SUPPORT, *host_rows.ROWS)
