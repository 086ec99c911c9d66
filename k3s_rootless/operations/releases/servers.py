"""The servers of a request, and repeated tries to reach them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless.binaries import https
from k3s_rootless.binaries.facts import CHANNELS, DOWNLOADS, Source

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Limits
    from k3s_rootless.operations.context import Context

T = TypeVar("T")
CHANNELS_VARIABLE = "INSTALL_K3S_CHANNEL_URL"
DOWNLOADS_VARIABLE = "INSTALL_K3S_ARTIFACT_URL"
"""Both have the meaning that they have for K3s's install script."""


def source(context: Context, mirror: str | None = None) -> Source:
    """Return the servers: `mirror` (an option), else those of the environment, else K3s's own.

    Raises UsageError.
    """
    environ = context.environ
    channels = environ.get(CHANNELS_VARIABLE) or CHANNELS
    downloads, name = mirror, "--mirror"
    if downloads is None:
        downloads, name = environ.get(DOWNLOADS_VARIABLE) or DOWNLOADS, DOWNLOADS_VARIABLE
    return Source(
        channels=https.checked_base(channels, CHANNELS_VARIABLE),
        downloads=https.checked_base(downloads, name),
        mirror=downloads.rstrip("/") != DOWNLOADS,
    )


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
