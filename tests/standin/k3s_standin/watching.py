"""Watches: the stream of changes that one client requested."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .certificates import Certificates
from .cluster import Cluster, Gone, Object
from .control import Control
from .health import Gate
from .journal import Journal
from .objects import status
from .release import Release
from .resources import Query, Target, Verbs, selected

_STEP = 0.5
_LONGEST = 1800.0


@dataclass(frozen=True)
class Context:
    """Context of a request."""

    cluster: Cluster
    verbs: Verbs
    gate: Gate
    release: Release
    certificates: Certificates
    journal: Journal
    watch_timeout: float | None = None
    control: Control | None = None


def events(
    context: Context, target: Target, query: Query, gone: Callable[[], bool]
) -> Iterator[Object]:
    """Yield watch events until the time is over, the client is gone, or the server stops."""
    resource = target.resource
    version = int(query.get("resourceVersion") or 0)
    if version == 0:
        items, version = context.cluster.items(resource.plural, target.namespace)
        yield from (
            {"type": "ADDED", "object": typed(item, target)}
            for item in items
            if selected(item, query)
        )
    deadline = time.monotonic() + min(
        float(query.get("timeoutSeconds") or _LONGEST), context.watch_timeout or _LONGEST
    )
    while (
        not context.gate.stopping.is_set()
        and not gone()
        and (left := deadline - time.monotonic()) > 0
    ):
        try:
            changes = context.cluster.changes(resource.plural, version, min(left, _STEP))
        except Gone:
            yield {
                "type": "ERROR",
                "object": status(410, "Expired", f"too old resource version: {version}"),
            }
            return
        for change in changes:
            version = change.version
            inside = target.namespace in {None, change.object["metadata"].get("namespace")}
            if inside and selected(change.object, query):
                yield {"type": change.kind, "object": typed(change.object, target)}
    if query.get("allowWatchBookmarks", "").lower() in {"1", "true"}:
        yield {
            "type": "BOOKMARK",
            "object": typed({"metadata": {"resourceVersion": str(version)}}, target),
        }


def typed(item: Object, target: Target) -> Object:
    """Return an object with its kind, which each event of a watch includes."""
    return item | {"kind": target.resource.kind, "apiVersion": target.resource.group_version}
