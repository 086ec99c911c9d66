"""The servers of a request, and repeated tries to reach them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless import own_settings
from k3s_rootless.binaries import https, urls
from k3s_rootless.binaries.facts import (
    API,
    CHANNELS,
    CHANNELS_VARIABLE,
    DOWNLOADS,
    DOWNLOADS_VARIABLE,
    Source,
)

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Limits
    from k3s_rootless.operations.context import Context

T = TypeVar("T")


def source(context: Context, mirror: str | None = None) -> Source:
    """Return the servers of a request; `mirror` is that of an option.

    Without it, the mirror of the environment is used, else that of `config set release.mirror`,
    else K3s's own server. Raises UsageError, RootlessError.
    """
    channels = context.environ.get(CHANNELS_VARIABLE) or CHANNELS
    downloads, origin = _downloads(context, mirror)
    found = Source(
        channels=urls.checked_base(channels, CHANNELS_VARIABLE),
        downloads=urls.checked_base(downloads, origin),
        origin=origin,
    )
    if found.downloads == DOWNLOADS:
        return replace(found, api=API)
    return replace(found, mirror=True)


def _downloads(context: Context, mirror: str | None) -> tuple[str, str]:
    """Return the URL of the downloads, and what it comes from."""
    if mirror is not None:
        return mirror, "--mirror"
    if given := context.environ.get(DOWNLOADS_VARIABLE):
        return given, DOWNLOADS_VARIABLE
    if configured := own_settings.read(context.paths.settings).get(own_settings.MIRROR):
        return configured, own_settings.MIRROR
    return DOWNLOADS, ""


def tried(context: Context, limits: Limits, query: Callable[[], T]) -> T:
    """Return the result of a query, which is repeated after failures that may not last.

    Raises RootlessError.
    """
    for pause in limits.pauses:
        try:
            return query()
        except https.Transient as error:
            context.notice(f"{error.message}; next try in {pause:.3g} s")
            time.sleep(pause)
    return query()
