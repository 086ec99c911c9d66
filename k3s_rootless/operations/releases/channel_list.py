"""Query the channel server for all channels, and keep its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.binaries import channels, store
from k3s_rootless.binaries.facts import Limits
from k3s_rootless.binaries.https import Client
from k3s_rootless.operations.releases import servers

if TYPE_CHECKING:
    from k3s_rootless.binaries.facts import Answers, Source
    from k3s_rootless.operations.context import Context


def query(context: Context, limits: Limits | None = None) -> tuple[Source, Answers]:
    """Return the servers, and what each channel offers now. Raises RootlessError."""
    source = servers.source(context)
    client = Client(context.environ, limits)
    answers = servers.tried(
        context, client.limits, lambda: channels.listed(client, source.channels)
    )
    store.remember(context.paths.own, answers)
    return source, answers
