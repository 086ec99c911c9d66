"""Kubernetes objects: those of a new K3s cluster, and Services from orders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .cluster import Object, now
from .orders import Orders

ORDERED = "k3s-standin/ordered"
"""Annotation of Services from orders or K3s itself, which each start creates again."""
PENDING = "k3s-standin/pending"
"""Annotation that keeps a load balancer without an address."""
DEAF = "k3s-standin/deaf"
"""Annotation of a Service without a listener behind its address, as if its Pods are gone."""
DELAY = "k3s-standin/delay"
_BULK_FIRST_PORT = 20000
_DEPLOYMENTS = {
    "coredns": "coredns",
    "local-path-provisioner": "local-storage",
    "metrics-server": "metrics-server",
    "traefik": "traefik",
}


def status(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> Object:
    """Return a Status, the form of an error in Kubernetes."""
    failure: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    failure |= {"message": message, "reason": reason}
    return failure | ({"details": details} if details is not None else {}) | {"code": code}


def namespaces() -> list[Object]:
    """Return the namespaces of a new cluster."""
    return [
        namespace(name) for name in ("default", "kube-node-lease", "kube-public", "kube-system")
    ]


def namespace(name: str) -> Object:
    """Return an active namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def built_in_services(api_port: int, disabled: Iterable[str]) -> list[Object]:
    """Return the Services that K3s itself deploys."""
    off = set(disabled)
    found = [
        _built_in("default", "kubernetes", "10.43.0.1", [_port(443, "https", target=api_port)])
    ]
    if "coredns" not in off:
        dns = [_port(53, "dns", protocol="UDP"), _port(53, "dns-tcp"), _port(9153, "metrics")]
        found.append(_built_in("kube-system", "kube-dns", "10.43.0.10", dns))
    if "metrics-server" not in off:
        found.append(
            _built_in("kube-system", "metrics-server", "10.43.105.129", [_port(443, "https")])
        )
    if "traefik" not in off:
        ports = [_port(80, "web", node_port=31080), _port(443, "websecure", node_port=31443)]
        traefik = _built_in("kube-system", "traefik", "10.43.77.80", ports)
        traefik["spec"]["type"] = "LoadBalancer"
        traefik["spec"]["externalTrafficPolicy"] = "Cluster"
        found.append(traefik)
    return found


def ordered_services(orders: Orders) -> list[Object]:
    """Return the Services of the orders."""
    bulk = (
        {"name": f"bulk-{number}", "ports": [{"port": _BULK_FIRST_PORT + number, "nodePort": 0}]}
        for number in range(orders.service_count)
    )
    return [_ordered(spec) for spec in (*orders.services, *bulk)]


def deployments(disabled: Iterable[str]) -> list[Object]:
    """Return the Deployments that K3s itself creates, none of which is available yet."""
    off = set(disabled)
    return [_deployment(name) for name, component in _DEPLOYMENTS.items() if component not in off]


def available(deployment: Object) -> Object:
    """Return a Deployment with all its replicas available."""
    replicas = deployment["spec"]["replicas"]
    return deployment | {
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "readyReplicas": replicas,
            "availableReplicas": replicas,
            "conditions": [
                condition(
                    "Available",
                    "True",
                    "MinimumReplicasAvailable",
                    "Deployment has minimum availability.",
                )
            ],
        }
    }


def _ordered(spec: dict[str, Any]) -> Object:
    if "metadata" in spec:
        item = {"apiVersion": "v1", "kind": "Service", **spec}
        item["metadata"] = {"namespace": "default", **spec["metadata"]}
        item["metadata"]["annotations"] = {
            **(spec["metadata"].get("annotations") or {}),
            ORDERED: "true",
        }
        return item
    annotations = {**spec.get("annotations", {}), ORDERED: "true"}
    if spec.get("pending"):
        annotations[PENDING] = "true"
    if spec.get("delay"):
        annotations[DELAY] = str(spec["delay"])
    ports = [{"port": entry} if isinstance(entry, int) else dict(entry) for entry in spec["ports"]]
    ingress = spec.get("ingress")
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "namespace": spec.get("namespace", "default"),
            "name": spec["name"],
            "annotations": annotations,
        },
        "spec": {"type": spec.get("type", "LoadBalancer"), "ports": ports},
        "status": {"loadBalancer": {"ingress": ingress} if ingress else {}},
    }


def _built_in(namespace: str, name: str, address: str, ports: list[dict[str, Any]]) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name, "annotations": {ORDERED: "true"}},
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": ports,
        },
        "status": {"loadBalancer": {}},
    }


def _port(
    number: int,
    name: str,
    *,
    protocol: str = "TCP",
    target: int | None = None,
    node_port: int | None = None,
) -> dict[str, Any]:
    port = {"name": name, "port": number, "protocol": protocol, "targetPort": target or number}
    return port | ({"nodePort": node_port} if node_port is not None else {})


def _deployment(name: str) -> Object:
    labels = {"k8s-app": "kube-dns"} if name == "coredns" else {"app.kubernetes.io/name": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "kube-system", "name": name, "labels": labels, "generation": 1},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}},
        },
        "status": {
            "observedGeneration": 1,
            "replicas": 1,
            "updatedReplicas": 1,
            "unavailableReplicas": 1,
        },
    }


def condition(kind: str, value: str, reason: str, message: str) -> dict[str, str]:
    """Return a condition of an object's status."""
    stamps = {"lastTransitionTime": now()} | (
        {"lastHeartbeatTime": now()} if reason.startswith("Kubelet") else {}
    )
    return {"type": kind, "status": value, "reason": reason, "message": message, **stamps}
