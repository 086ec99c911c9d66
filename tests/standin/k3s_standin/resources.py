"""Resources of the API: the meaning of each path, and the effect of each verb."""

from __future__ import annotations

import base64
import copy
import json
import re
import threading
from dataclasses import dataclass
from typing import Any

from .cluster import Cluster, Conflict, Object, now
from .objects import status
from .services import Admission, Invalid

Query = dict[str, str]
ENDS_AFTER = "k3s-standin/ends-after"
"""The annotation of a Pod with the seconds that it takes to end; it ends at once without."""


@dataclass(frozen=True)
class Resource:
    """One kind of object that the API serves."""

    plural: str
    kind: str
    group_version: str
    namespaced: bool


RESOURCES = {
    resource.plural: resource
    for resource in (
        Resource("services", "Service", "v1", namespaced=True),
        Resource("nodes", "Node", "v1", namespaced=False),
        Resource("pods", "Pod", "v1", namespaced=True),
        Resource("namespaces", "Namespace", "v1", namespaced=False),
        Resource("deployments", "Deployment", "apps/v1", namespaced=True),
        Resource("networkpolicies", "NetworkPolicy", "networking.k8s.io/v1", namespaced=True),
        Resource("secrets", "Secret", "v1", namespaced=True),
        Resource("events", "Event", "v1", namespaced=True),
    )
}

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+)(?:/(?P<part>status))?)?/?"
)


class Refused(Exception):
    """The API answers with a Status."""

    def __init__(self, body: Object) -> None:
        super().__init__(body["message"])
        self.body = body


@dataclass(frozen=True)
class Target:
    """Object or collection that a path names."""

    resource: Resource
    namespace: str | None
    name: str | None
    part: str | None

    def missing(self) -> Refused:
        """Return the refusal for an object that does not exist."""
        details = {"name": self.name, "kind": self.resource.plural}
        message = f'{self.resource.plural} "{self.name}" not found'
        return Refused(status(404, "NotFound", message, details))


def resolve(path: str) -> Target | None:
    """Return the target of a path, or None for a path that this API does not serve."""
    match = _PATH.fullmatch(path)
    # The subresource of a namespace itself looks like a namespaced collection.
    own = re.fullmatch(r"/api/v1/namespaces/([^/]+)/status", path)
    if own:
        return Target(RESOURCES["namespaces"], None, own[1], "status")
    if not match or match["plural"] not in RESOURCES:
        return None
    resource = RESOURCES[match["plural"]]
    if (match["core"] or match["group"]) != resource.group_version:
        return None
    namespace = match["namespace"]
    if (namespace is not None and not resource.namespaced) or (
        match["name"] and resource.namespaced and not namespace
    ):
        return None
    return Target(resource, namespace, match["name"], match["part"])


def selected(item: Object, query: Query) -> bool:
    """Return whether an object matches fieldSelector and labelSelector."""
    metadata = item["metadata"]
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        key, expected, equal = _term(term)
        if key not in {"metadata.name", "metadata.namespace", "type", "reason"}:
            raise Refused(status(400, "BadRequest", f"field label not supported: {key}"))
        fields = item if key in item else metadata
        if (fields.get(key.removeprefix("metadata."), "") == expected) is not equal:
            return False
    labels = metadata.get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        if "=" not in term:
            if (term.lstrip("!") in labels) is term.startswith("!"):
                return False
            continue
        key, expected, equal = _term(term)
        if (labels.get(key) == expected) is not equal:
            return False
    return True


class Verbs:
    """The verbs get, list, create, replace, patch and delete."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._admission = Admission(cluster)

    def admit(self, item: Object) -> Object:
        """Store a Service of the stand-in itself, completed like any other."""
        metadata = item["metadata"]
        before = self._cluster.get("services", metadata["namespace"], metadata["name"])
        return self._cluster.put("services", self._admission.admit(item, before))

    def read(self, target: Target) -> Object:
        """Return one object."""
        found = self._cluster.get(target.resource.plural, target.namespace or "", target.name or "")
        if found is None:
            raise target.missing()
        return found | {"kind": target.resource.kind, "apiVersion": target.resource.group_version}

    def read_all(self, target: Target, query: Query) -> Object:
        """Return a list, in chunks if the query has `limit`."""
        items, version = self._cluster.items(target.resource.plural, target.namespace)
        items = [item for item in items if selected(item, query)]
        metadata: dict[str, Any] = {"resourceVersion": str(version)}
        first = (
            json.loads(base64.b64decode(query["continue"]))["first"] if query.get("continue") else 0
        )
        limit = int(query.get("limit") or 0)
        if limit and len(items) > first + limit:
            metadata["continue"] = base64.b64encode(
                json.dumps({"first": first + limit}).encode()
            ).decode()
            metadata["remainingItemCount"] = len(items) - first - limit
        chunk = items[first : first + limit] if limit else items[first:]
        resource = target.resource
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.group_version,
            "metadata": metadata,
            "items": chunk,
        }

    def create(self, target: Target, item: Object) -> Object:
        """Add an object."""
        metadata = item.setdefault("metadata", {})
        resource = target.resource
        if resource.namespaced:
            metadata.setdefault("namespace", target.namespace or "default")
            if self._cluster.get("namespaces", "", metadata["namespace"]) is None:
                raise Refused(
                    status(404, "NotFound", f'namespaces "{metadata["namespace"]}" not found')
                )
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = f"{metadata['generateName']}{self._cluster.version % 100_000:05d}"
        name = str(metadata.get("name", ""))
        if self._cluster.get(resource.plural, metadata.get("namespace", ""), name) is not None:
            raise Refused(
                status(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
            )
        return self._store(
            target,
            item | {"status": {"loadBalancer": {}}} if resource.plural == "services" else item,
            None,
        )

    def replace(self, target: Target, item: Object) -> Object:
        """Replace an object; on the status subresource, replace only its status."""
        before = self.read(target)
        version = item.get("metadata", {}).get("resourceVersion")
        if target.part == "status":
            item = before | {"status": item.get("status") or {}}
        else:
            item = item | {"status": before.get("status") or {}}
        item = copy.deepcopy(item)
        item.setdefault("metadata", {}).setdefault("name", target.name)
        if target.namespace:
            item["metadata"].setdefault("namespace", target.namespace)
        return self._store(target, item, before, expected=version)

    def patch(self, target: Target, change: Object) -> Object:
        """Merge a patch (RFC 7386) into an object.

        On the status subresource, only the status of the patch is merged.
        """
        before = self.read(target)
        version = (change.get("metadata") or {}).get("resourceVersion")
        change = {
            key: value
            for key, value in change.items()
            if (key == "status") is (target.part == "status")
        }
        return self._store(target, merge(before, change), before, expected=version)

    def delete(self, target: Target) -> Object:
        """Remove an object; a Pod that takes time to end is removed by the kubelet later."""
        if target.resource.plural == "pods":
            found = self.read(target)
            seconds = (found["metadata"].get("annotations") or {}).get(ENDS_AFTER)
            if seconds is not None:
                return self._end(target, found, float(seconds))
        last = self._cluster.delete(
            target.resource.plural, target.namespace or "", target.name or ""
        )
        if last is None:
            raise target.missing()
        return last

    def _end(self, target: Target, pod: Object, seconds: float) -> Object:
        if "deletionTimestamp" in pod["metadata"]:
            return pod
        metadata = pod["metadata"] | {"deletionTimestamp": now()}
        stored = self._cluster.put("pods", pod | {"metadata": metadata})
        names = (target.namespace or "", target.name or "")
        timer = threading.Timer(seconds, lambda: self._cluster.delete("pods", *names))
        timer.daemon = True
        timer.start()
        return stored

    def _store(
        self, target: Target, item: Object, before: Object | None, expected: str | None = None
    ) -> Object:
        plural = target.resource.plural
        try:
            admitted = self._admission.admit(item, before) if plural == "services" else item
            return self._cluster.put(plural, admitted, expected=expected)
        except Invalid as error:
            raise Refused(status(422, "Invalid", str(error))) from None
        except Conflict:
            reason = (
                "the object has been modified; please apply your changes to the latest version and"
                " try again"
            )
            message = f'Operation cannot be fulfilled on {plural} "{target.name}": {reason}'
            raise Refused(status(409, "Conflict", message)) from None


def merge(before: Any, change: Any) -> Any:
    """Return the result of a JSON merge patch."""
    if not isinstance(change, dict):
        return change
    merged = dict(before) if isinstance(before, dict) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def _term(term: str) -> tuple[str, str, bool]:
    for operator, equal in (("!=", False), ("==", True), ("=", True)):
        if operator in term:
            key, _, expected = term.partition(operator)
            return key, expected, equal
    raise Refused(status(400, "BadRequest", f"unable to parse selector {term!r}"))
