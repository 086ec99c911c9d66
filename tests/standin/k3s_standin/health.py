"""Endpoints of the API server about itself: /readyz, /livez, /healthz, /version, discovery."""

from __future__ import annotations

import platform
import threading
from dataclasses import dataclass, field

from .cluster import Object
from .release import Release
from .resources import RESOURCES

OPEN = frozenset({"/readyz", "/livez", "/healthz", "/version", "/cacerts", "/ping"})
"""Paths that are answered without a client certificate."""

_ALWAYS = ("ping", "log", "etcd", "informer-sync", "poststarthook/start-apiextensions-controllers")
_LATE = (
    "poststarthook/rbac/bootstrap-roles",
    "poststarthook/scheduling/bootstrap-system-priority-classes",
)


@dataclass
class Gate:
    """Events that decide what the API answers."""

    ready: threading.Event = field(default_factory=threading.Event)
    hang: threading.Event = field(default_factory=threading.Event)
    stopping: threading.Event = field(default_factory=threading.Event)


def check(path: str, *, ready: bool, verbose: bool) -> tuple[int, str]:
    """Return status and body of a health endpoint; a failure has no reason, as in Kubernetes."""
    name = path.strip("/")
    passed = ready or name == "livez"
    lines = [f"[+]{item} ok" for item in _ALWAYS]
    lines += [f"[+]{item} ok" if passed else f"[-]{item} failed: reason withheld" for item in _LATE]
    if not passed:
        return 500, "\n".join([*lines, f"{name} check failed"]) + "\n"
    return 200, "\n".join([*lines, f"{name} check passed"]) + "\n" if verbose else "ok"


def version(release: Release) -> Object:
    """Return the answer of /version."""
    major, minor, _ = release.triple
    return {
        "major": str(major),
        "minor": str(minor),
        "gitVersion": release.version,
        "gitCommit": release.commit8.ljust(40, "0"),
        "gitTreeState": "clean",
        "goVersion": "go1.24.5",
        "compiler": "gc",
        "platform": f"linux/{'arm64' if platform.machine() == 'aarch64' else 'amd64'}",
    }


def discovery(path: str) -> Object | None:
    """Return the discovery document at a path, or None."""
    path = path.rstrip("/")
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
    apps = {"groupVersion": "apps/v1", "version": "v1"}
    if path == "/apis":
        group = {"name": "apps", "versions": [apps], "preferredVersion": apps}
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group]}
    group_version = {"/api/v1": "v1", "/apis/apps/v1": "apps/v1"}.get(path)
    if group_version is None:
        return None
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    found = [
        {
            "name": resource.plural,
            "singularName": resource.kind.lower(),
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": verbs,
        }
        for resource in RESOURCES.values()
        if resource.group_version == group_version
    ]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": found,
    }
