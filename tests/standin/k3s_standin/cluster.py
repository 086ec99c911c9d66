"""State of the cluster: objects by resource, their versions, and the changes for watches."""

from __future__ import annotations

import copy
import json
import threading
import uuid
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .certificates import write_private

Object = dict[str, Any]

_HISTORY = 50_000
_RESTART_GAP = 1000


class Gone(Exception):
    """A watch requests changes that are no longer kept."""


class Conflict(Exception):
    """A change is based on a version that is not the newest."""


@dataclass(frozen=True)
class Change:
    """One change of one object."""

    version: int
    kind: str
    """Either ADDED, MODIFIED or DELETED."""
    object: Object


class Cluster:
    """Objects of every resource.

    Objects are replaced and never changed in place, so that readers need no copies.
    """

    def __init__(self, version: int = 1000) -> None:
        self._changed = threading.Condition()
        self._version = version
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._history: dict[str, list[Change]] = {}
        self._forgotten: dict[str, int] = {}

    def items(self, resource: str, namespace: str | None = None) -> tuple[list[Object], int]:
        """Return all objects of a resource, sorted, and the version of the cluster."""
        with self._changed:
            found = self._objects.get(resource, {})
            keys = sorted(key for key in found if namespace is None or key[0] == namespace)
            return [found[key] for key in keys], self._version

    def get(self, resource: str, namespace: str, name: str) -> Object | None:
        """Return one object."""
        with self._changed:
            return self._objects.get(resource, {}).get((namespace, name))

    def put(self, resource: str, item: Object, *, expected: str | None = None) -> Object:
        """Add or replace an object.

        With `expected`, the object is replaced only if this is still its version.
        """
        with self._changed:
            item = copy.deepcopy(item)
            metadata = item.setdefault("metadata", {})
            key = (metadata.get("namespace", ""), metadata["name"])
            before = self._objects.get(resource, {}).get(key)
            if expected and (before is None or before["metadata"]["resourceVersion"] != expected):
                raise Conflict
            self._version += 1
            old = before["metadata"] if before is not None else {}
            metadata["resourceVersion"] = str(self._version)
            metadata["uid"] = old.get("uid") or metadata.get("uid") or str(uuid.uuid4())
            metadata["creationTimestamp"] = (
                old.get("creationTimestamp") or metadata.get("creationTimestamp") or now()
            )
            self._objects.setdefault(resource, {})[key] = item
            self._note(resource, "ADDED" if before is None else "MODIFIED", item)
            return item

    def delete(self, resource: str, namespace: str, name: str) -> Object | None:
        """Remove an object, and return its last state."""
        with self._changed:
            before = self._objects.get(resource, {}).pop((namespace, name), None)
            if before is None:
                return None
            self._version += 1
            last = copy.deepcopy(before)
            last["metadata"]["resourceVersion"] = str(self._version)
            self._note(resource, "DELETED", last)
            return last

    def changes(self, resource: str, version: int, timeout: float) -> list[Change]:
        """Return the changes after a version; wait for the first.

        The list is empty after the timeout.
        """
        with self._changed:
            if version < self._forgotten.get(resource, 0):
                raise Gone
            self._changed.wait_for(lambda: self._newest(resource) > version, timeout)
            history = self._history.get(resource, [])
            return history[bisect_right(history, version, key=lambda change: change.version) :]

    @property
    def version(self) -> int:
        """Version of the newest change."""
        with self._changed:
            return self._version

    def _newest(self, resource: str) -> int:
        history = self._history.get(resource)
        return history[-1].version if history else 0

    def _note(self, resource: str, kind: str, item: Object) -> None:
        history = self._history.setdefault(resource, [])
        history.append(Change(self._version, kind, item))
        if len(history) > 2 * _HISTORY:
            self._forgotten[resource] = history[-_HISTORY].version - 1
            del history[:-_HISTORY]
        self._changed.notify_all()


def now() -> str:
    """Return the current time in the format of Kubernetes."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def load(path: Path) -> tuple[Cluster, list[Object]]:
    """Return a cluster and the kept Services; the versions continue from the last start."""
    try:
        kept = json.loads(path.read_text())
    except (OSError, ValueError):
        return Cluster(), []
    return Cluster(int(kept["version"]) + _RESTART_GAP), list(kept["services"])


def kept_nodes(path: Path) -> list[Object]:
    """Return the Nodes of the last start, as they were at its end."""
    try:
        return list(json.loads(path.read_text())["nodes"])
    except (OSError, ValueError, KeyError):
        return []


def save(path: Path, cluster: Cluster, skip: str) -> None:
    """Write the Nodes, and the Services without the annotation `skip`, atomically."""
    services, version = cluster.items("services")
    nodes, _ = cluster.items("nodes")
    kept = [item for item in services if skip not in (item["metadata"].get("annotations") or {})]
    write_private(path, json.dumps({"version": version, "services": kept, "nodes": nodes}).encode())
