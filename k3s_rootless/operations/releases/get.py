"""Get a release: download it or take it from files, verify it, and keep it on this host."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.binaries import architectures, installed, store, tags
from k3s_rootless.binaries.facts import Integrity, Limits, Record
from k3s_rootless.binaries.https import Client
from k3s_rootless.errors import RootlessError, UnsupportedHost, UsageError
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import k3s_search
from k3s_rootless.operations.context import WAITING
from k3s_rootless.operations.releases import local, published, resolve, second_opinion, servers
from k3s_rootless.operations.releases.images import Images, place
from k3s_rootless.preflight.probes import host

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Architecture, Asset
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.releases.second_opinion import Opinion

STABLE = "stable"
_VERSION_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `release get`; `file` and `checksums` replace the servers."""

    wanted: str | None = None
    mirror: str | None = None
    images: bool = False
    file: Path | None = None
    checksums: Path | None = None


@dataclass(frozen=True, slots=True)
class Got:
    """The release that is kept now.

    `changed` is false if it was there already. `used` is true if it became the release in use,
    because there was none. `opinion` is that of the forge about a download.
    """

    record: Record
    path: Path
    changed: bool
    used: bool
    seconds: float
    images: Images | None = None
    opinion: Opinion | None = None


@dataclass(frozen=True, slots=True)
class _Arrived:
    """A verified file, where it came from, and its checksum file."""

    part: Path
    asset: Asset
    checksums: str


def get(context: Context, request: Request, limits: Limits | None = None) -> Got:
    """Get a release. Raises UsageError, PreflightFailed, UnsupportedHost, RootlessError."""
    begun = time.monotonic()
    context.require_ordinary_user()
    own = context.paths.own
    version, origin = _origin(context, request, limits)
    with store.changing(own, lambda: context.notice(WAITING)):
        release, changed, opinion = _kept(context, version, origin)
        # A k3s of another source stays in use until `release use`.
        linked = installed.linked(own, installed.LINK)
        used = linked is None and k3s_search.located(context).path is None
        if used:
            store.use(own, release.version)
        images = None
        if request.images:
            images = place(context, origin)
        _sweep(own)
    path = installed.path_of(own, release.version)
    return Got(release, path, changed, used, time.monotonic() - begun, images, opinion)


def _origin(
    context: Context, request: Request, limits: Limits | None
) -> tuple[str | None, published.Published | local.Files]:
    """Return the requested release, and the place that its assets come from.

    The release is None if it is only known from a file. Raises RootlessError.
    """
    architecture = require_architecture()
    if request.file is not None and request.checksums is not None:
        if request.mirror is not None:
            raise UsageError("cannot use --mirror with --file: nothing is downloaded")
        version = local.wanted_version(request.wanted)
        return version, local.Files(context, request.file, request.checksums, architecture)
    if request.file is not None or request.checksums is not None:
        raise UsageError("cannot use --file or --checksums alone: use both")
    source = servers.source(context, request.mirror)
    client = Client(context.environ, limits)
    tag = resolve.release(context, client, source, request.wanted or STABLE)
    return tag, published.Published(context, client, source, tag, architecture)


def require_architecture() -> Architecture:
    """Return the architecture of this host. Raises UnsupportedHost."""
    machine = os.uname().machine
    found = architectures.of_machine(machine)
    if found is None:
        raise UnsupportedHost(f"cannot get K3s: there are no releases for {machine}")
    return found


def _kept(
    context: Context, version: str | None, origin: published.Published | local.Files
) -> tuple[Record, bool, Opinion | None]:
    """Return the record of a release, whether it was added now, and the opinion of the forge.

    The caller holds the lock.
    """
    own = context.paths.own
    there = None if version is None else _verified(context, version)
    if there is not None:
        return there, False, None
    asset, checksums = origin.binary()
    part = store.incoming(own, asset.sha256)
    _sweep(own, part)
    query = origin.second_opinion(asset)
    origin.bring(asset, part)
    arrived = _Arrived(part, asset, checksums)
    try:
        record = _recorded(context, version, arrived)
    except RootlessError:
        store.discard(part)
        raise
    store.keep(own, part, record)
    return record, True, second_opinion.finish(context, query, asset)


def _verified(context: Context, version: str) -> Record | None:
    """Return the record of a release that is there, and is still the one that was verified."""
    own = context.paths.own
    for one in installed.releases(own):
        if one.version != version or one.integrity is not Integrity.VERIFIED or one.record is None:
            continue
        if installed.digest(one.path) == one.record.sha256:
            return one.record
    return None


def _recorded(context: Context, version: str | None, arrived: _Arrived) -> Record:
    """Run a verified file to learn its version. Raises RootlessError."""
    part, asset = arrived.part, arrived.asset
    try:
        part.chmod(0o755)
        status = part.stat()
    except OSError as error:
        raise RootlessError(f"cannot store {asset.name}: {atomic.reason(error)}") from error
    printed = host.k3s_version(part, context.paths.home, _VERSION_SECONDS)
    if isinstance(printed, Unknown):
        raise RootlessError(
            f"cannot use {asset.name} from {asset.url}: it does not run here: {printed.reason}"
        )
    found = printed.value.text
    if version is not None and found != version:
        raise RootlessError(
            f"cannot use {asset.name} from {asset.url}: it is K3s {found}, not {version}"
        )
    if not tags.is_tag(found):
        raise RootlessError(f"cannot keep {asset.name}: K3s {found} is not a release")
    return Record(
        version=found,
        asset=asset.name,
        sha256=asset.sha256,
        size=status.st_size,
        changed=status.st_mtime_ns,
        source=asset.url,
        checksums=arrived.checksums,
        date=datetime.now(UTC),
    )


def _sweep(own: Path, part: Path | None = None) -> None:
    """Remove what interrupted downloads left, except for the part that is continued."""
    for left in installed.leftovers(own):
        if part is None or not left.path.name.startswith(part.name):
            store.remove_leftover(left)
