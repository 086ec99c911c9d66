"""The release that K3s runs or ran last, and whether it can be used again after a failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.backup.facts import Switch
from k3s_rootless.binaries import installed
from k3s_rootless.binaries.facts import Integrity
from k3s_rootless.errors import PreflightFailed, RootlessError
from k3s_rootless.k3s import version
from k3s_rootless.operations import installation
from k3s_rootless.operations.backup import surroundings
from k3s_rootless.operations.launch import reported
from k3s_rootless.operations.launch.reported import same
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.backup.surroundings import Surroundings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Current:
    """The surroundings of K3s, and its release: the running one, or the one that ran last."""

    here: Surroundings
    release: Version

    @property
    def text(self) -> str:
        """The name of the release."""
        return self.release.text


def read(context: Context, manager: UserManager) -> Current:
    """Read the current release.

    Raises NotRunning if K3s is not installed, PreflightFailed if the release is not known,
    RootlessError.
    """
    here = surroundings.read(context, manager)
    if not here.state.installed:
        raise installation.absence(here.state)
    found = _running(context, here) or files.release_of(here.state.fragment)
    found = found or version.parse(here.origin.k3s or "")
    if found is None:
        raise PreflightFailed(
            "cannot change the release of K3s: the present one is not known",
            hint="find out why with: k3s-rootless check k3s",
        )
    return Current(here, found)


def again(context: Context, manager: UserManager, before: Current) -> Current:
    """Read the current release again, after a question or a download.

    Raises RootlessError if it is another one now.
    """
    found = read(context, manager)
    if found.release != before.release:
        raise RootlessError(
            f"cannot continue: K3s {before.text} was in use, and now {found.text} is",
            hint="repeat the command",
        )
    return found


def _running(context: Context, here: Surroundings) -> Version | None:
    if not here.state.running:
        return None
    return version.parse(reported.release(context, here.state) or "")


def way_back(own: Path, current: Current) -> str | None:
    """Return the release that the stable path must lead to for the current K3s; None for no link.

    Raises PreflightFailed if the binary of the current release is not on this host any more.
    """
    linked = installed.linked(own, installed.LINK)
    if linked is not None and same(linked, current.text):
        return linked
    if linked is None and same(current.here.origin.k3s or "", current.text):
        return None
    for one in installed.releases(own):
        if same(one.version, current.text) and one.integrity is Integrity.VERIFIED:
            return one.version
    raise PreflightFailed(
        f"cannot change the release of K3s: K3s {current.text} runs or ran last, and its binary is"
        " not on this host any more, so there would be no way back",
        hint=f"get it again: k3s-rootless release get {current.text}",
    )


def switch(own: Path, current: Current, after: str) -> Switch:
    """Return the switch from the current release to another one. Raises PreflightFailed."""
    return Switch(
        before=current.text,
        after=after,
        linked=way_back(own, current),
        previous=installed.linked(own, installed.PREVIOUS),
    )
