"""Checks of the file systems that K3s writes to.

They cover the type, the mount options and the free space of the data directory, /tmp and the home
directory.
"""

from __future__ import annotations

from datetime import timedelta
from shlex import quote

from k3s_rootless import host_change
from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s import layout
from k3s_rootless.k3s.settings import TEMPORARY
from k3s_rootless.linux.facts import LONGEST_SOCKET_PATH
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    Checklist,
    Judgement,
    failed,
    info,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Datastore, Place, Storage
from k3s_rootless.preflight.remedies import host
from k3s_rootless.rootlesskit.names import API_SOCKET, READY_PIPE

check = Checklist()
_DAYS, _HOURS = timedelta(days=2), timedelta(hours=2)
"""From these ages on, a backup's age is shown in days, or in hours."""
_GIB = 2**30
_LEAST = _GIB // 2
"""The bytes that K3s needs: it unpacks about 200 MB, and its images need as much again."""
_REMOTE = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "lustre",
        "gpfs",
        "ceph",
        "fuse.sshfs",
        "fuse.s3fs",
    }
)
_NEEDS_TMP = "rootlesskit creates directories there"
_NEEDS_SPACE = "this is not enough to unpack K3s and its images"
_NEEDS_HOME = "K3s writes its kubeconfig there"
_NO_OWNERS = frozenset({"vfat", "msdos", "exfat", "ntfs", "ntfs3", "fuseblk", "iso9660", "drvfs"})


def _other_directory(need: str = "on a local file system with enough space") -> Remedy:
    text = (
        f"use a data directory {need} (K3s reads K3S_DATA_DIR since July 2024; older releases need"
        " --data-dir)"
    )
    return host.setting(text, "K3S_DATA_DIR", "/var/tmp/%u/k3s")  # noqa: S108 (a suggestion)


@check.seen("storage.home", "Home directory", FATAL, "storage")
def storage_home(facts: Facts, seen: Known[Storage]) -> Judgement:
    """Check the home directory, where K3s writes its kubeconfig and, by default, its data."""
    home = seen.value.home
    create = Remedy(
        FixableBy.ADMINISTRATOR,
        f"create a home directory for {facts.user}",
        (f"sudo mkhomedir_helper {quote(facts.user)}",),
    )
    if not home.exists:
        return failed(f"{home.path} does not exist", _NEEDS_HOME, create, "stat")
    if "ro" in home.flags:
        text = f"mount the file system of {home.path} read-write"
        remount = Remedy(FixableBy.ADMINISTRATOR, text)
        return failed(f"{home.path} is mounted read-only", _NEEDS_HOME, remount, "mountinfo")
    if not home.writable and home.owner == facts.uid:
        command = f"chmod u+rwx {quote(home.path)}"
        allow = Remedy(FixableBy.USER, f"make {home.path} writable", (command,))
        return failed(f"{home.path} is not writable", _NEEDS_HOME, allow, "access")
    if not home.writable:
        text = (
            f"make {home.path} writable for {facts.user}, or give {facts.user} another home"
            " directory"
        )
        allow = Remedy(FixableBy.ADMINISTRATOR, text)
        return failed(f"{home.path} is not writable", _NEEDS_HOME, allow, "access")
    return passed(home.path)


@check.seen("storage.data", "Data directory", FATAL, "storage")
def storage_data(facts: Facts, seen: Known[Storage]) -> Judgement:
    """Check that the user can write the data directory.

    A K3s that was once started as root leaves a directory that the user cannot write.
    """
    data = seen.value.data
    if "ro" in data.flags or data.writable:
        return passed(data.found)
    if data.owner != facts.uid and _inside_own_home(data, seen.value.home, facts.uid):
        remedy = Remedy(
            FixableBy.ADMINISTRATOR,
            f"make {facts.user} the owner of {data.found}",
            (f"sudo chown -hR -- {quote(f'{facts.user}:')} {quote(data.found)}",),
        )
        return failed(
            f"{data.found} belongs to uid {data.owner}", "K3s cannot write its data", remedy
        )
    remedy = _other_directory("that you can write to, on a local file system")
    return failed(f"{data.found} is not writable", f"K3s cannot create {data.path}", remedy)


def _inside_own_home(place: Place, home: Place, uid: int) -> bool:
    """Return whether a directory is inside the user's own home directory, by their real paths."""
    own = home.exists and home.owner == uid and home.found != "/"
    return own and place.found.isprintable() and place.found.startswith(f"{home.found}/")


@check.seen("storage.type", "File system of the data directory", FATAL, "storage")
def storage_type(_: Facts, seen: Known[Storage]) -> Judgement:
    """Check the type of the data directory's file system.

    containerd gives files to subordinate ids, which a file server on another host refuses. SQLite
    needs reliable locks.
    """
    data = seen.value.data
    if data.type in _REMOTE:
        reason = (
            "a file server does not accept subordinate ids, so images cannot be unpacked; SQLite is"
            " not safe on it"
        )
        return failed(data.type, reason, _other_directory(), data.found)
    if data.type in _NO_OWNERS:
        return failed(
            data.type,
            "this file system does not store owners of files",
            _other_directory(),
            data.found,
        )
    if data.type == "ecryptfs" or data.type.startswith("fuse."):
        return warned(
            data.type, "image layers are known to fail on it", _other_directory(), data.found
        )
    if data.type in {"tmpfs", "ramfs"}:
        return info(
            data.type, "the cluster is lost at reboot, and its data uses memory", data.found
        )
    return passed(data.type or "unknown to mountinfo", data.found)


@check.seen("storage.mount", "Mount options of the data directory", FATAL, "storage")
def storage_mount(_: Facts, seen: Known[Storage]) -> Judgement:
    """Check the mount options: with noexec, K3s exits with `permission denied` (K3s #7372)."""
    data = seen.value.data
    for flag, reason in (
        ("ro", "K3s cannot write its data"),
        ("noexec", "K3s unpacks its programs there and executes them"),
    ):
        if flag in data.flags:
            return failed(flag, reason, _other_directory(), data.found)
    restricting = sorted(data.flags & {"nodev", "nosuid"})
    if restricting:
        return info(
            ", ".join(restricting),
            "some mounts of ConfigMaps are known to fail with these options (K3s #7436)",
            data.found,
        )
    return passed("read-write, executable", data.found)


@check.seen("storage.space", "Disk space", FATAL, "storage")
def storage_space(_: Facts, seen: Known[Storage]) -> Judgement:
    """Check the free space.

    The kubelet evicts pods below 5 % of the file system, and K3s unpacks about 200 MB.
    """
    data = seen.value.data
    observed = f"{data.free / _GIB:.1f} of {data.size / _GIB:.1f} GiB free"
    if data.inodes is not None and data.inodes < 10_000:
        return failed(
            f"{data.inodes} inodes free",
            "images consist of many small files",
            _other_directory(),
            data.found,
        )
    if data.free < _LEAST:
        return failed(observed, _NEEDS_SPACE, _other_directory(), data.found)
    if data.free < 2 * _GIB or data.free * 20 < data.size:
        reason = "K3s may run out of space: pods are evicted below 5 % of free space"
        return warned(observed, reason, _other_directory(), data.found)
    return passed(observed, data.found)


@check.seen("storage.quota", "Disk quota", FATAL, "storage")
def storage_quota(_: Facts, seen: Known[Storage]) -> Judgement:
    """Check the quota of the user.

    Files of containers belong to subordinate ids, which have no quota or their own.
    """
    left = seen.value.data.left
    if isinstance(left, Unknown):
        return info("cannot be read", left.reason)
    if left.value is None:
        return passed("none", left.source)
    observed = f"{left.value / _GIB:.1f} GiB left"
    if left.value < _LEAST:
        return failed(observed, _NEEDS_SPACE, _other_directory(), left.source)
    if left.value < 2 * _GIB:
        return warned(
            observed, "container images can use this up soon", _other_directory(), left.source
        )
    return passed(observed, left.source)


@check.seen("storage.tmp", "Temporary directory", FATAL, "storage")
def storage_tmp(_: Facts, seen: Known[Storage]) -> Judgement:
    """Check that the temporary directory is writable.

    rootlesskit creates directories there before it copies up /etc and /run (its
    pkg/copyup/tmpfssymlink).
    """
    place: Place = seen.value.temporary
    if not place.writable or "ro" in place.flags:
        return failed("not writable", _NEEDS_TMP, _writable(place), place.path)
    if place.free < 2**20 or place.inodes == 0:
        command = f"ls -la {quote(place.path)}"
        remedy = Remedy(
            FixableBy.USER, f"delete files in {place.path} that you no longer need", (command,)
        )
        return failed("full", _NEEDS_TMP, remedy, place.path)
    return passed("writable", place.path)


def _writable(place: Place) -> Remedy:
    # TMPDIR of the unit can be any path, and can become a link after the administrator reviewed the
    # script, so root must not change its mode.
    if place.path not in host_change.MODES:
        text = f"set TMPDIR of the unit to a directory that you can write to, such as {TEMPORARY}"
        return host.setting(text, "TMPDIR", str(TEMPORARY))
    if "ro" in place.flags:
        return Remedy(FixableBy.ADMINISTRATOR, f"mount {place.path} read-write")
    return Remedy(
        FixableBy.ADMINISTRATOR,
        f"allow all users to write to {place.path}",
        (f"sudo chmod 1777 {place.path}",),
        (host_change.Mode(place.path),),
    )


@check.seen("storage.socket", "Socket paths", FATAL, "storage")
def storage_socket(_: Facts, seen: Known[Storage]) -> Judgement:
    """Check the paths of the sockets: a path has at most 107 bytes (unix(7)).

    rootlesskit and kine bind their sockets below the data directory.
    """
    data = seen.value.data.path
    longest = max(
        (
            f"{data}/{layout.ROOTLESS}/{READY_PIPE}",
            f"{data}/{layout.KINE_SOCKET}",
            f"{data}/{layout.ROOTLESS}/{API_SOCKET}",
        ),
        key=len,
    )
    length = len(longest.encode("utf-8", "surrogateescape"))
    if length > LONGEST_SOCKET_PATH:
        return failed(
            f"{length} bytes: {longest}",
            f"a socket path can have at most {LONGEST_SOCKET_PATH} bytes",
            _other_directory("with a shorter path"),
        )
    return passed(f"{length} bytes", data)


@check.seen("storage.datastore", "Datastore", FATAL, "datastore")
def storage_datastore(facts: Facts, seen: Known[Datastore]) -> Judgement:
    """Check that K3s can use its datastore.

    K3s tries to open a datastore that is damaged, cut off or owned by another user every second
    without end, while its unit stays active (v1.36.3).
    """
    found = seen.value
    if not found.problem:
        return passed("no damage found", seen.source)
    reason = "K3s cannot open its datastore, and never becomes ready"
    if not found.damaged:
        mode = Remedy(
            FixableBy.USER,
            "make the file readable and writable",
            (f"chmod 600 {quote(seen.source)}",),
        )
        directory = quote(seen.source.rpartition("/")[0])
        owner = Remedy(
            FixableBy.ADMINISTRATOR,
            f"make {facts.user} the owner of the datastore",
            (f"sudo chown -R {quote(f'{facts.user}:')} {directory}",),
        )
        remedy = mode if found.owner == facts.uid else owner
        return failed(found.problem, reason, remedy, seen.source)
    return failed(f"damaged: {found.problem}", reason, _replaced(found, seen.source), seen.source)


def _replaced(found: Datastore, file: str) -> Remedy:
    """Return the remedy that replaces a damaged datastore."""
    if found.backup is None:
        directory = quote(file.rpartition("/")[0])
        text = (
            "there is no backup that can be restored; these commands keep the damaged files, and"
            " K3s starts with an empty cluster"
        )
        aside = f"mv {directory} {directory}.damaged-$(date +%s)"
        return Remedy(FixableBy.USER, text, ("k3s-rootless down", aside, "k3s-rootless up"))
    path, age = found.backup
    text = f"restore the newest good backup, which is {_shown(age)} old"
    return Remedy(FixableBy.USER, text, (f"k3s-rootless backup restore {quote(path)}",))


def _shown(age: timedelta) -> str:
    if age >= _DAYS:
        return f"{age.days} days"
    if age >= _HOURS:
        return f"{age // timedelta(hours=1)} hours"
    return f"{max(age // timedelta(minutes=1), 0)} minutes"


@check.seen("storage.leftovers", "Files of a killed K3s", DEGRADED, "storage", "unit")
def storage_leftovers(facts: Facts, seen: Known[Storage]) -> Judgement:
    """Check that a killed K3s left no files that break the next start.

    K3s never cleans rootlesskit's directory. The next start fails once because of the files of a
    killed K3s.
    """
    if not seen.value.left_over:
        return passed("none")
    if isinstance(facts.unit, Unknown):
        return unknown(f"cannot check whether K3s is running: {facts.unit.reason}")
    if facts.unit.value.active_state not in {"inactive", "failed"}:
        return passed(f"not checked: K3s is {facts.unit.value.active_state}")
    paths = " ".join(map(quote, seen.value.left_over))
    remedy = Remedy(FixableBy.USER, "delete these files", (f"rm -f {paths}",))
    return warned(
        ", ".join(seen.value.left_over), "the next start can fail once, or hang for minutes", remedy
    )


@check.seen("storage.unpacking", "Unfinished copies of K3s", DEGRADED, "storage")
def storage_unpacking(_: Facts, seen: Known[Storage]) -> Judgement:
    """Check that there is no unfinished copy of K3s.

    A K3s that is killed while it unpacks itself leaves about 200 MB, which no other release
    removes.
    """
    unfinished = seen.value.unfinished
    if not unfinished:
        return passed("none")
    paths = [path for path, _ in unfinished]
    size = sum(size for _, size in unfinished)
    command = f"rm -r -- {' '.join(map(quote, paths))}"
    remedy = Remedy(FixableBy.USER, "delete the unfinished copy", (command,))
    reason = "K3s exited while it unpacked itself, and does not use this copy"
    return warned(f"{size / 2**20:.0f} MiB in {', '.join(paths)}", reason, remedy, seen.source)
