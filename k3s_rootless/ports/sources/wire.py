"""Readers of the JSON of rootlesskit and of the API server, checked by hand.

Shapes: rootlesskit's `pkg/port/port.go` and `pkg/api` (0.14 to 2.3; its published openapi.yaml
differs in places), and Kubernetes' core/v1 Service, ServiceList, WatchEvent and Pod. Unknown fields
are ignored; wrong types are errors. Checking stops at the first wrong element.

pydantic is not used: loading it and building these models took 400 ms, more than all the rest of
`ports` (docs/explanation/ports.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from k3s_rootless import json_fields
from k3s_rootless.json_fields import InvalidField, Json, each, field, inside, optional, typed
from k3s_rootless.ports.facts import PodPort, ServicePort


@dataclass(frozen=True, slots=True)
class Page:
    """One page of Services.

    It holds their ports, the token of the next page, and the version that a watch continues from.
    """

    ports: tuple[ServicePort, ...]
    proceed: str
    version: str


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a watch.

    `kind` is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR; `key` is namespace and name.
    """

    kind: str
    key: tuple[str, str] = ("", "")
    ports: tuple[ServicePort, ...] = ()
    version: str = ""
    status: int = 0


def services(body: bytes) -> Page:
    """Read one page of a ServiceList. Raises PeerError."""
    with json_fields.parsing("the API server's list of Services"):
        page = typed(json.loads(body), dict)
        if "items" not in page:
            raise InvalidField("it has no items")
        metadata = optional(page, "metadata", dict) or {}
        ports = each(page, "items", service)
        return Page(
            ports=tuple(port for group in ports for port in group),
            proceed=optional(metadata, "continue", str) or "",
            version=optional(metadata, "resourceVersion", str) or "",
        )


def event(line: bytes) -> Event:
    """Read one line of a watch of Services. Raises PeerError."""
    with json_fields.parsing("an event of the API server"):
        message = typed(json.loads(line), dict)
        kind, subject = field(message, "type", str), field(message, "object", dict)
        if kind == "ERROR":
            return Event(kind, status=optional(subject, "code", int) or 0)
        metadata = field(subject, "metadata", dict)
        version = optional(metadata, "resourceVersion", str) or ""
        if kind == "BOOKMARK":
            return Event(kind, version=version)
        key = (optional(metadata, "namespace", str) or "", field(metadata, "name", str))
        return Event(kind, key, service(subject), version)


def service(subject: Any) -> tuple[ServicePort, ...]:  # noqa: ANN401 (parsed JSON)
    """Read one Service into a record for each of its ports.

    An ExternalName Service can have no ports.
    """
    metadata, spec = field(typed(subject, dict), "metadata", dict), field(subject, "spec", dict)
    balancer = optional(optional(subject, "status", dict) or {}, "loadBalancer", dict) or {}
    points = each(
        balancer,
        "ingress",
        lambda one: (optional(typed(one, dict), "ip", str), optional(one, "hostname", str)),
    )
    addresses = tuple(address for address, _ in points if address)
    hostnames = tuple(name for _, name in points if name)
    namespace, name = optional(metadata, "namespace", str) or "", field(metadata, "name", str)
    kind = optional(spec, "type", str) or "ClusterIP"

    def read(port: Any) -> ServicePort:  # noqa: ANN401 (parsed JSON)
        return ServicePort(
            namespace=namespace,
            service=name,
            name=optional(typed(port, dict), "name", str) or "",
            proto=(optional(port, "protocol", str) or "TCP").lower(),
            port=json_fields.port(port, "port"),
            node_port=json_fields.port(port, "nodePort", lowest=0),
            type=kind,
            addresses=addresses,
            hostnames=hostnames,
            app_protocol=optional(port, "appProtocol", str) or "",
        )

    with inside("spec"):
        return each(spec, "ports", read)


def pods(body: bytes) -> tuple[tuple[PodPort, ...], str]:
    """Read one page of a PodList: the hostPorts of its Pods, and the token of the next page.

    Raises PeerError.
    """
    with json_fields.parsing("the API server's list of Pods"):
        page = typed(json.loads(body), dict)
        groups = each(page, "items", lambda one: tuple(_pod(one)))
        metadata = optional(page, "metadata", dict) or {}
        proceed = optional(metadata, "continue", str) or ""
        return tuple(port for group in groups for port in group), proceed


def host_ports(namespace: str, owner: str, pod_spec: Json) -> tuple[PodPort, ...]:
    """Read the hostPorts of the spec of a Pod or Pod template. Raises json_fields.InvalidField."""
    containers = each(
        pod_spec, "containers", lambda one: each(typed(one, dict), "ports", _host_port)
    )
    return tuple(
        PodPort(namespace, owner, proto, number)
        for group in containers
        for proto, number in group
        if number
    )


def _host_port(port: Any) -> tuple[str, int]:  # noqa: ANN401 (parsed JSON)
    proto = optional(typed(port, dict), "protocol", str) or "TCP"
    return proto.lower(), json_fields.port(port, "hostPort", lowest=0)


def _pod(pod: Any) -> Iterator[PodPort]:  # noqa: ANN401 (parsed JSON)
    metadata, spec = field(typed(pod, dict), "metadata", dict), field(pod, "spec", dict)
    labels = optional(metadata, "labels", dict) or {}
    # servicelb runs Pods with hostPorts. Those ports belong to the Services, and K3s forwards them
    # for the Services (K3s pkg/cloudprovider/servicelb.go).
    if "svccontroller.k3s.cattle.io/svcname" not in labels:
        yield from host_ports(
            optional(metadata, "namespace", str) or "", field(metadata, "name", str), spec
        )
