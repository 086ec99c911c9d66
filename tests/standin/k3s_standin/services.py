"""Defaults that the API server sets in a Service: addresses, protocols, node ports."""

from __future__ import annotations

import copy
import threading

from .cluster import Cluster, Object

_NODE_PORTS = range(30000, 32768)


class Invalid(Exception):
    """The API server refuses a Service, with this message."""


class Admission:
    """Completes Services; node ports and addresses are assigned once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._next_address = 1000
        self._handed_out: set[int] = set()

    def admit(self, item: Object, before: Object | None) -> Object:
        """Return a Service as it is stored."""
        item = copy.deepcopy(item)
        metadata, spec = item.get("metadata") or {}, item.setdefault("spec", {})
        if not metadata.get("name"):
            raise Invalid(
                'Service "" is invalid: metadata.name: Required value: name or generateName is'
                " required"
            )
        if not spec.get("ports") and spec.get("type") != "ExternalName":
            raise Invalid(f'Service "{metadata["name"]}" is invalid: spec.ports: Required value')
        item.update(apiVersion="v1", kind="Service")
        with self._lock:
            self._fill(spec, before["spec"] if before is not None else {})
        if spec["type"] != "LoadBalancer":
            item["status"] = {"loadBalancer": {}}
        return item

    def _fill(self, spec: Object, old: Object) -> None:
        spec.setdefault("type", "ClusterIP")
        if "clusterIP" not in spec:
            spec["clusterIP"] = old.get("clusterIP") or self._address()
        if spec["clusterIP"]:
            spec["clusterIPs"] = [spec["clusterIP"]]
        for key, value in (
            ("ipFamilies", ["IPv4"]),
            ("ipFamilyPolicy", "SingleStack"),
            ("sessionAffinity", "None"),
        ):
            spec.setdefault(key, value)
        given = {
            _key(port): port["nodePort"] for port in old.get("ports", []) if port.get("nodePort")
        }
        wants = spec["type"] in {"NodePort", "LoadBalancer"} and spec.get(
            "allocateLoadBalancerNodePorts", True
        )
        for port in spec.get("ports", []):
            port.setdefault("protocol", "TCP")
            port.setdefault("targetPort", port["port"])
            # nodePort 0 in an order requests no node port, like
            # allocateLoadBalancerNodePorts=false.
            if port.get("nodePort") == 0 or spec["type"] not in {"NodePort", "LoadBalancer"}:
                port.pop("nodePort", None)
            elif wants and "nodePort" not in port:
                port["nodePort"] = given.get(_key(port)) or self._node_port()

    def _address(self) -> str:
        self._next_address += 1
        return f"10.43.{self._next_address // 250 % 256}.{self._next_address % 250 + 1}"

    def _node_port(self) -> int:
        used = {
            port.get("nodePort")
            for service in self._cluster.items("services")[0]
            for port in service["spec"].get("ports", [])
        }
        free = (
            number
            for number in _NODE_PORTS
            if number not in used and number not in self._handed_out
        )
        number = next(free, None)
        if number is None:
            raise Invalid(
                "Service is invalid: spec.ports[0].nodePort: Internal error: provided range is full"
            )
        self._handed_out.add(number)
        return number


def _key(port: Object) -> tuple[int, str]:
    return int(port["port"]), str(port.get("protocol", "TCP"))
