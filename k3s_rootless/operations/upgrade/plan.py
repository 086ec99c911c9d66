"""Decide whether an upgrade is possible, and describe it before anything changes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup import etcd_files, names
from k3s_rootless.backup.facts import Datastore, Switch
from k3s_rootless.binaries import installed, tags
from k3s_rootless.binaries.https import Client
from k3s_rootless.errors import PreflightFailed, RootlessError, UnsupportedHost
from k3s_rootless.k3s import changes, features, layout, version
from k3s_rootless.operations.backup import etcd_snapshot
from k3s_rootless.operations.backup.running_cluster import SystemdCluster
from k3s_rootless.operations.releases import resolve, servers
from k3s_rootless.operations.releases.get import STABLE
from k3s_rootless.operations.upgrade import current, matching

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Limits
    from k3s_rootless.k3s.changes import Change
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.upgrade.current import Current
    from k3s_rootless.service.systemd.user import UserManager

_UNPACKED = 250 * 2**20
"""The bytes into which K3s unpacks itself (v1.36: about 200 MB)."""
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `upgrade`.

    `wanted` is a release or a channel, None for the stable one. `seconds` limits the wait without
    progress. `yes` is the consent of the user.
    """

    seconds: float
    wanted: str | None = None
    mirror: str | None = None
    backup: bool = True
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What an upgrade does; without a `switch`, nothing has to change, because of `reason`.

    `downtime` is the expected one in seconds, None if it is not known.
    """

    now: Current
    after: str
    switch: Switch | None
    changes: tuple[Change, ...] = ()
    downtime: float | None = None
    backup: bool = True
    reason: str = ""


def make(
    context: Context, manager: UserManager, request: Request, limits: Limits | None = None
) -> Plan:
    """Return what an upgrade would do now. Changes nothing.

    Raises UsageError for an unknown release, PreflightFailed or RootlessError if the upgrade is not
    possible, WouldOverwrite for a unit that was edited.
    """
    now = current.read(context, manager)
    target = _target(context, request, limits)
    before = now.release
    if target == before or (request.wanted is None and target < before):
        return Plan(now, target.text, None, reason=_nothing(before, target))
    _require_upwards(context, before, target)
    _require_usable(target)
    if request.backup:
        require_datastore(context, now, target)
        _require_space(context, now)
    SystemdCluster(context, manager, 0).unit_steps(target.text)
    return Plan(
        now,
        target.text,
        current.switch(context.paths.own, now, target.text),
        changes.between(before, target, now.here.datastore.value),
        expected_downtime(context, now),
        request.backup,
    )


def _target(context: Context, request: Request, limits: Limits | None) -> Version:
    source = servers.source(context, request.mirror)
    client = Client(context.environ, limits)
    tag = resolve.release(context, client, source, request.wanted or STABLE)
    found = version.parse(tag)
    if found is None:
        raise RootlessError(f"cannot upgrade to `{tag}`: this is not the name of a release")
    return found


def _nothing(before: Version, target: Version) -> str:
    if target == before:
        return f"K3s {before} is already in use"
    return f"K3s {before} is in use, and {target} is older"


def _require_upwards(context: Context, before: Version, target: Version) -> None:
    if target < before:
        raise _older(context, before, target)
    if changes.skips_minor(before, target):
        step = f"v{before.major}.{before.minor + 1}"
        raise RootlessError(
            f"cannot upgrade K3s from {before} to {target}: Kubernetes does not support skipping a"
            " minor version, and the datastore may become unusable",
            hint=f"upgrade one minor version at a time: k3s-rootless upgrade {step}",
        )


def _older(context: Context, before: Version, target: Version) -> RootlessError:
    why = f"cannot upgrade K3s from {before} to {target}: it is older, and cannot be expected to"
    why += " read the datastore of the newer release"
    if matching.find(context, target.text) is None:
        return RootlessError(
            f"{why}; there is no backup of K3s {target} to go back to",
            hint="see which backups there are: k3s-rootless backup list",
        )
    return RootlessError(
        why, hint=f"go back to it, with its backup: k3s-rootless rollback {target}"
    )


def _require_usable(target: Version) -> None:
    repaired = features.repaired_by(target)
    if repaired is not None:
        raise UnsupportedHost(
            f"cannot upgrade to K3s {target}: it cannot start rootless (K3s #13667)",
            hint=f"k3s-rootless upgrade {repaired}",
        )
    if not tags.is_tag(target.text):
        raise RootlessError(f"cannot upgrade to K3s {target}: it is not a release")


def require_datastore(context: Context, now: Current, target: Version) -> None:
    """Raise an error if the datastore cannot be backed up."""
    datastore = now.here.datastore
    if datastore is Datastore.ETCD and now.here.in_use:
        _require_snapshot(context)
    if datastore is Datastore.NONE:
        raise RootlessError(
            f"cannot upgrade: {now.here.data} contains no datastore, so K3s was never started",
            hint=f"start it with this release: k3s-rootless up --get {target}",
        )
    if datastore is Datastore.EXTERNAL:
        raise PreflightFailed(
            "cannot upgrade with a backup: the datastore is external",
            hint=(
                "save it with its own programs, then upgrade without a way back: k3s-rootless"
                f" upgrade {target} --no-backup"
            ),
        )


def _require_snapshot(context: Context) -> None:
    try:
        etcd_snapshot.require_possible(context)
    except RootlessError as error:
        raise PreflightFailed(
            f"cannot upgrade with a backup while K3s runs: {error.message}",
            hint="stop K3s first, so that the files of etcd can be copied: k3s-rootless down",
        ) from error


def _require_space(context: Context, now: Current) -> None:
    """Raise PreflightFailed if there is no room for the copies of the datastore."""
    size = datastore_size(now.here.data)
    for place, needed, what in (
        (now.here.data, size + _UNPACKED, "a copy of the datastore and the unpacked K3s"),
        (context.paths.own, 2 * size, "the backup"),
    ):
        free = _free(place)
        if free is not None and free < needed:
            raise PreflightFailed(
                f"cannot upgrade: {place} has {free >> 20} MiB free, and {what} needs up to"
                f" {needed >> 20} MiB",
                hint="remove what is not needed: k3s-rootless release prune",
            )


def datastore_size(data: Path) -> int:
    """Return the size of the datastore in bytes."""
    if (data / layout.ETCD_LOG).is_dir():
        return etcd_files.size(data)
    directory = data / names.DATABASE_DIRECTORY
    paths = (directory / name for name in names.DATABASE_FILES)
    return sum(path.stat().st_size for path in paths if path.exists())


def _free(place: Path) -> int | None:
    for directory in (place, *place.parents):
        if directory.exists():
            return shutil.disk_usage(directory).free
    return None


def expected_downtime(context: Context, now: Current) -> float | None:
    """Return the expected downtime in seconds; None if it is not known.

    This is the time of the last upgrade, or else that of the start of the running K3s until it
    wrote its kubeconfig.
    """
    for entry in reversed(installed.history(context.paths.own)):
        if entry.downtime is not None:
            return entry.downtime
    state = now.here.state
    if not state.running or state.started is None:
        return None
    try:
        written = now.here.settings.kubeconfig.stat().st_mtime
    except OSError:
        return None
    seconds = (datetime.fromtimestamp(written, UTC) - state.started).total_seconds()
    if 0 < seconds < _HOUR:
        return seconds
    return None


def with_release(now: Current, release: str) -> Current:
    """Return the current K3s as if this release were installed, for the judgement of a backup."""
    origin = replace(now.here.origin, k3s=release)
    return replace(now, here=replace(now.here, origin=origin))
