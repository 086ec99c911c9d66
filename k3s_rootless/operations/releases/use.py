"""Choose the release that K3s starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.binaries import installed, store, tags
from k3s_rootless.binaries.facts import Integrity
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.operations import k3s_search
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.context import WAITING
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Release
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Used:
    """The release in use, the one before it, and the path that leads to it.

    `replaced` is the k3s that `up` used until now, if that was not a release of ours.
    """

    version: str
    before: str | None
    link: Path
    replaced: str | None

    @property
    def changed(self) -> bool:
        """True if another release was in use."""
        return self.before != self.version


def use(context: Context, wanted: str) -> Used:
    """Let the stable path lead to a release on this host. Raises UsageError, RootlessError."""
    context.require_ordinary_user()
    found = tags.parse(wanted)
    if not isinstance(found, tags.Exact):
        raise UsageError(
            f"cannot use `{printable(wanted)}`: name a release on this host, such as v1.36.3+k3s1",
            hint="list them with: k3s-rootless release list",
        )
    unfinished.require_none(context)
    own = context.paths.own
    with store.changing(own, lambda: context.notice(WAITING)):
        replaced = _foreign(context)
        release = _require_verified(installed.releases(own), found.tag)
        before = installed.linked(own, installed.LINK)
        store.use(own, release.version)
    return Used(release.version, before, own / installed.LINK, replaced)


def _foreign(context: Context) -> str | None:
    """Return the k3s that `up` uses now, if it is not a release of ours."""
    path = k3s_search.located(context).path
    return None if path == str(context.paths.own / installed.LINK) else path


def _require_verified(releases: tuple[Release, ...], tag: str) -> Release:
    release = next((one for one in releases if one.version == tag), None)
    again = f"k3s-rootless release get {tag}"
    if release is None:
        raise RootlessError(f"cannot use {tag}: it is not on this host", hint=again)
    if release.record is None:
        raise RootlessError(f"cannot use {tag}: it was not verified", hint=again)
    if release.integrity is Integrity.CHANGED:
        raise RootlessError(
            f"cannot use {tag}: {release.path} changed after it was verified", hint=again
        )
    found = installed.digest(release.path)
    if found != release.record.sha256:
        raise RootlessError(
            f"cannot use {tag}: the SHA-256 of {release.path} is {found}, but that of the verified"
            f" file was {release.record.sha256}",
            hint=again,
        )
    return release
