"""Compare a verified file with the digest that the forge shows. Nothing depends on the answer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from k3s_rootless import background
from k3s_rootless.binaries import forge
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Observed, Unknown

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Asset, Source
    from k3s_rootless.binaries.https import Client
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Query:
    """A running query for a digest, and the time that it has after the download, in seconds."""

    running: background.BackgroundQuery[Observed[str]]
    seconds: float


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the forge shows: a SHA-256, or the reason why there is none."""

    sha256: str | None
    agrees: bool | None
    reason: str = ""


def begin(client: Client, source: Source, tag: str, asset: Asset) -> Query | None:
    """Query the forge while the file arrives; None for a mirror, which has no such digest."""
    if not source.api:
        return None
    running = background.begin(partial(forge.digest, client, source.api, tag, asset.name))
    return Query(running, client.limits.opinion)


def finish(context: Context, query: Query | None, asset: Asset) -> Opinion | None:
    """Return the opinion about a verified file, and warn if it is another checksum."""
    if query is None:
        return None
    try:
        shown = background.answer(query.running, time.monotonic() + query.seconds)
    except RootlessError as error:
        return Opinion(None, None, error.message)
    if isinstance(shown, Unknown):
        return Opinion(None, None, shown.reason)
    agrees = shown.value == asset.sha256
    if not agrees:
        context.notice(
            f"warning: {shown.source} shows the SHA-256 {shown.value} for {asset.name}, but the"
            f" checksum file and the downloaded file have {asset.sha256}; ask the K3s project"
            " before you use this release"
        )
    return Opinion(shown.value, agrees)
