"""The JSON of rootlesskit and of the API server, validated; importing it costs what pydantic costs, so readers do it late.

Shapes: rootlesskit's `pkg/port/port.go` and `pkg/api` (0.14 to 2.3; its published openapi.yaml says otherwise in places), and
Kubernetes' core/v1 ServiceList. Unknown fields are ignored, wrong types are not; checking stops at the first wrong element,
or a long answer of rubbish would cost gigabytes in error records.
"""

from __future__ import annotations

import json
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, FailFast, Field, TypeAdapter, ValidationError

from k3s_rootless.errors import PeerError
from k3s_rootless.printable import printable

T = TypeVar("T")

_MOST_FORWARDS = 2 * 65535
"""Each port of each of two protocols; K3s never sets a parent IP."""

Port = Annotated[int, Field(ge=1, le=65535)]
PortOrNone = Annotated[int, Field(ge=0, le=65535)]


class _Foreign(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class PortSpec(_Foreign):
    """rootlesskit's `port.Spec`."""

    proto: str
    parent_ip: str = Field(default="", alias="parentIP")
    parent_port: Port = Field(alias="parentPort")
    child_port: Port = Field(alias="childPort")
    child_ip: str = Field(default="", alias="childIP")


class PortStatus(_Foreign):
    """rootlesskit's `port.Status`."""

    spec: PortSpec


class Driver(_Foreign):
    """What `/v1/info` says about a network or port driver."""

    driver: str = ""
    child_ip: str | None = Field(default=None, alias="childIP")


class Info(_Foreign):
    """The answer to `/v1/info`."""

    version: str | None = None
    state_directory: str | None = Field(default=None, alias="stateDir")
    child_pid: int | None = Field(default=None, alias="childPID")
    network_driver: Driver | None = Field(default=None, alias="networkDriver")
    port_driver: Driver | None = Field(default=None, alias="portDriver")


class Metadata(_Foreign):
    """The part of an object's metadata that names it."""

    namespace: str = ""
    name: str


class SpecPort(_Foreign):
    """One element of a Service's `spec.ports`."""

    name: str = ""
    protocol: str = "TCP"
    port: Port
    node_port: PortOrNone = Field(default=0, alias="nodePort")


class ServiceSpec(_Foreign):
    """A Service's `spec`; an ExternalName Service has no ports."""

    type: str = "ClusterIP"
    ports: Annotated[list[SpecPort], FailFast()] | None = None


class Ingress(_Foreign):
    """One element of `status.loadBalancer.ingress`."""

    ip: str = ""
    hostname: str = ""


class LoadBalancer(_Foreign):
    """A Service's `status.loadBalancer`."""

    ingress: Annotated[list[Ingress], FailFast()] | None = None


class ServiceStatus(_Foreign):
    """A Service's `status`."""

    load_balancer: LoadBalancer = Field(default=LoadBalancer(), alias="loadBalancer")


class Service(_Foreign):
    """One Service."""

    metadata: Metadata
    spec: ServiceSpec
    status: ServiceStatus = ServiceStatus()


class ListMetadata(_Foreign):
    """A list's metadata: `continue` names the next page."""

    proceed: str = Field(default="", alias="continue")


class ServiceList(_Foreign):
    """One page of Services; Go writes an empty list as null."""

    metadata: ListMetadata = ListMetadata()
    items: Annotated[list[Service], FailFast()] | None


FORWARDS: TypeAdapter[list[PortStatus] | None] = TypeAdapter(
    Annotated[list[PortStatus], FailFast(), Field(max_length=_MOST_FORWARDS)] | None
)
INFO: TypeAdapter[Info] = TypeAdapter(Info)
SERVICES: TypeAdapter[ServiceList] = TypeAdapter(ServiceList)


def read(adapter: TypeAdapter[T], body: bytes, what: str) -> T:
    """Validate an answer; raises PeerError that names the first wrong place. `what` is the object of "cannot understand"."""
    try:
        return adapter.validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("list[", "constrained-")))
        why = f"{place}: {first['msg']}" if place else first["msg"]
        raise PeerError(f"cannot understand {what}: {printable(why)}") from None


def complaint(body: bytes) -> str:
    """Read why a peer refused: the `message` of rootlesskit's errors and of Kubernetes' Status, whatever the Content-Type.

    rootlesskit sets its header after the status, so its JSON arrives as text/plain (its pkg/api/router, 0.14 to 2.3).
    """
    try:
        said = json.loads(body[:65536])
    except (ValueError, RecursionError):
        said = None
    message = said.get("message") if isinstance(said, dict) else None
    text = message if isinstance(message, str) and message else body[:200].decode("utf-8", "replace")
    return printable(text.strip()) or "it did not say why"
