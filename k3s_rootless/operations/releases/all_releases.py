"""Remove all releases of K3s, for `uninstall --purge`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.binaries import installed, store
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.context import WAITING

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Downloaded:
    """The releases on this host, and the bytes of them and of what downloads left."""

    directory: Path
    versions: tuple[str, ...]
    size: int


def found(context: Context) -> Downloaded | None:
    """Return the releases on this host; None if there are none. Raises RootlessError."""
    own = context.paths.own
    try:
        releases, leftovers = installed.releases(own), installed.leftovers(own)
    except OSError as error:
        raise RootlessError(f"cannot list {own}: {atomic.reason(error)}") from error
    if not releases and not leftovers:
        return None
    return Downloaded(
        directory=own / installed.RELEASES,
        versions=tuple(one.version for one in releases),
        size=sum(one.size for one in releases) + sum(one.size for one in leftovers),
    )


def remove(context: Context) -> None:
    """Remove all releases, and the setting of their mirror. Raises RootlessError."""
    own, settings = context.paths.own, context.paths.settings
    with store.changing(own, lambda: context.notice(WAITING)):
        store.remove_all(own)
    try:
        settings.unlink(missing_ok=True)
    except OSError as error:
        raise RootlessError(f"cannot remove {settings}: {atomic.reason(error)}") from error
    with suppress(OSError):  # other files in it, or no directory
        settings.parent.rmdir()
