"""What tests are built from: a healthy host to change one thing of, versions, and what Hypothesis draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.facts import (
    CgroupMode,
    Delegation,
    Facts,
    K3sBinary,
    MapProgram,
    RuntimeDirectory,
    SubidRange,
)
from k3s_rootless.preflight.probes import SYSCTLS
from k3s_rootless.release.version import Version, parse

T = TypeVar("T")

UID = 1000
FIVE = frozenset({"cpu", "cpuset", "io", "memory", "pids"})
DEFAULT = frozenset({"cpu", "memory", "pids"})
"""What systemd 257 delegates when nobody says more."""


def version(text: str) -> Version:
    """Read a version that is one."""
    found = parse(text)
    assert found is not None
    return found


def delegation(
    effective: frozenset[str] = FIVE,
    *,
    realized: frozenset[str] = FIVE,
    configured: frozenset[str] = FIVE,
    kernel: frozenset[str] = FIVE,
) -> Delegation:
    """Build a delegation, of which every stage was observed."""
    return Delegation(Known(kernel), Known(configured), Known(realized), Known(effective, "cgroup.controllers of the unit"))


def runtime(path: str = f"/run/user/{UID}", **changes: Any) -> RuntimeDirectory:
    """Build a healthy runtime directory, changed."""
    return replace(RuntimeDirectory(path, given=True, exists=True, owner=UID, mode=0o700), **changes)


def map_program(name: str, **changes: Any) -> Known[MapProgram]:
    """Build newuidmap or newgidmap as its package installs it, changed."""
    return Known(replace(MapProgram(f"/usr/bin/{name}", setuid=True), **changes), f"/usr/bin/{name}")


def k3s(text: str = "v1.33.4+k3s1", **changes: Any) -> K3sBinary:
    """Build a sound k3s binary of a release, changed."""
    path = "/usr/local/bin/k3s"
    return replace(K3sBinary(path, executable=True, version=Known(version(text), f"{path} --version")), **changes)


HEALTHY = Facts(
    uid=UID,
    user="alice",
    machine="x86_64",
    systemd_booted=True,
    runtime=runtime(),
    user_manager=Known("257", "the user bus"),
    cgroup=Known(CgroupMode.UNIFIED, "statfs /sys/fs/cgroup"),
    delegation=delegation(),
    sysctls={
        "net.ipv4.ip_forward": Known("1", "/proc/sys/net/ipv4/ip_forward"),
        "kernel.unprivileged_userns_clone": Known(None, "/proc/sys/kernel/unprivileged_userns_clone"),
        "user.max_user_namespaces": Known("63432", "/proc/sys/user/max_user_namespaces"),
    },
    namespace=Known(0, "unshare(CLONE_NEWUSER)"),
    newuidmap=map_program("newuidmap"),
    newgidmap=map_program("newgidmap"),
    subuid=Known((SubidRange(100000, 65536),), "/etc/subuid"),
    subgid=Known((SubidRange(100000, 65536),), "/etc/subgid"),
    k3s=k3s(),
    distribution="debian",
)


def facts(**changes: Any) -> Facts:
    """Build the facts of a host that can run K3s, changed."""
    return replace(HEALTHY, **changes)


def sysctl(key: str, value: Observed[str | None]) -> Facts:
    """Build the facts of a host where one sysctl is another."""
    return facts(sysctls={**HEALTHY.sysctls, key: value})


@st.composite
def versions(draw: st.DrawFn) -> Version:
    """Draw versions, often of the lines in which something changed."""
    minor = draw(st.sampled_from([20, 21, 22, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 38]) | st.integers(0, 99))
    number = f"v{draw(st.sampled_from([1, 1, 1, 0, 2]))}.{minor}.{draw(st.integers(0, 16))}"
    stage = draw(st.sampled_from(["", "", "-alpha", "-beta", "-rc", "-rc."]))
    before = f"{stage}{draw(st.integers(1, 12))}" if stage else ""
    builds = ["", "+k3s1", "+k3s2", "+k3s3", "+k3s10", "+k3s.1", "-k3s.4", "+k3s-914f1d91", "+k3s-30638072-dirty", "+dk1"]
    return version(number + before + draw(st.sampled_from(builds)))


def observed(known: st.SearchStrategy[T]) -> st.SearchStrategy[Observed[T]]:
    """Draw what was observed, or that nobody could look."""
    return st.builds(Known, known, st.text(max_size=9)) | st.builds(Unknown, st.text(min_size=1, max_size=9))


_TEXTS = st.text(max_size=12)
_PATHS = st.sampled_from(["/usr/bin/k3s", "/home/it's mine/k3s", "/a b/$(reboot)", "/x;y", "/\n", "-rf"]) | _TEXTS
_CONTROLLERS = st.frozensets(st.sampled_from(sorted({*FIVE, "hugetlb"})))
_NUMBERS = st.sampled_from(["0", "1", "1023", "1024", "-1", "", "1 ", "9" * 5000, "\u0661", "\u00b2", "max"]) | _TEXTS
_PROGRAMS = st.builds(MapProgram, st.none() | _PATHS, st.integers(0, 2), st.booleans(), st.booleans(), st.booleans())
_RANGES = st.lists(st.builds(SubidRange, st.integers(0, 2**64), st.integers(0, 2**64)), max_size=4).map(tuple)
_BINARIES = st.builds(
    K3sBinary, st.none() | _PATHS, st.booleans(), st.integers(0, 2000), st.booleans(), st.none() | observed(versions())
)


def any_facts() -> st.SearchStrategy[Facts]:
    """Draw hosts, most of them broken in several ways."""
    return st.builds(
        Facts,
        uid=st.sampled_from([0, UID, 2**32 - 2]),
        user=st.sampled_from(["alice", "AD\\alice", "o'brien", "a b", "$(reboot)", "-x"]) | _TEXTS,
        machine=st.sampled_from(["x86_64", "aarch64", "armv7l", "s390x", "riscv64", ""]),
        systemd_booted=st.booleans(),
        runtime=st.builds(
            RuntimeDirectory, _PATHS, st.booleans(), st.booleans(), st.integers(-1, 2000), st.integers(0, 0o7777)
        ),
        user_manager=observed(_TEXTS),
        cgroup=observed(st.sampled_from(CgroupMode)),
        delegation=st.builds(Delegation, *[observed(_CONTROLLERS)] * 4),
        sysctls=st.fixed_dictionaries({key: observed(st.none() | _NUMBERS) for key in SYSCTLS}),
        namespace=observed(st.sampled_from([0, 1, 13, 28, 999_999]) | st.integers(0, 2**32 - 1)),
        newuidmap=observed(_PROGRAMS),
        newgidmap=observed(_PROGRAMS),
        subuid=observed(_RANGES),
        subgid=observed(_RANGES),
        k3s=_BINARIES,
        distribution=st.sampled_from(["", "debian", "ubuntu debian", "opensuse-leap suse opensuse", "nixos"]) | _TEXTS,
    )
