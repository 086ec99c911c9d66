"""Checks that the settings of K3s match those that its cluster was created with.

The settings are the networks of pods and Services, and the name of the node. K3s uses
`cluster-cidr` and `service-cidr` only for a new cluster: a node keeps its network, and a Service
its address, in the datastore. With another pod network, the controller manager exits (`failed to
mark cidr[10.42.0.0/24] …: … is out the range of cluster cidr`). With another Service network, the
DNS of pods fails (`Service "kube-dns" is invalid: spec.clusterIPs[0]: … may not change once set`,
v1.36.3).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from k3s_rootless.finding import FixableBy, Remedy
from k3s_rootless.k3s.origin import Source
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.checks.judgement import (
    DEGRADED,
    FATAL,
    Checklist,
    Judgement,
    failed,
    passed,
    unknown,
    warned,
)
from k3s_rootless.preflight.facts import Facts
from k3s_rootless.preflight.records import Cluster
from k3s_rootless.preflight.remedies import drop_ins
from k3s_rootless.preflight.remedies.settings import without

check = Checklist()
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@check.seen("config.networks", "Networks of the cluster", FATAL, "cluster", "unit")
def config_networks(facts: Facts, seen: Known[Cluster]) -> Judgement:
    """Check that the pod and Service networks are those of the cluster.

    A node keeps its pod network, and a Service its address. With other networks, K3s exits or loses
    its DNS.
    """
    settings = facts.server
    if settings.problems:
        return unknown(settings.problems[0])
    pods = _networks(settings.cluster_cidr)
    for node in seen.value.nodes:
        for text in node.networks:
            if _outside(text, pods):
                observed = (
                    f"the pod network of node {node.name} is {text}, but cluster-cidr is"
                    f" {settings.cluster_cidr}"
                )
                reason = (
                    "the controller manager of K3s exits: cluster-cidr applies to a new cluster"
                    " only"
                )
                return failed(observed, reason, _restore(facts, "cluster-cidr"), seen.source)
    services = _networks(settings.service_cidr)
    for address in seen.value.addresses:
        if _outside(address, services):
            observed = (
                f"the address of the Service kubernetes is {address}, but service-cidr is"
                f" {settings.service_cidr}"
            )
            reason = (
                "pods lose their DNS: service-cidr applies to a new cluster only, and Services keep"
                " their addresses"
            )
            return failed(observed, reason, _restore(facts, "service-cidr"), seen.source)
    return passed(f"{settings.cluster_cidr}, {settings.service_cidr}", seen.source)


@check.seen("config.node", "Node name", DEGRADED, "cluster", "unit", "host")
def config_node(facts: Facts, seen: Known[Cluster]) -> Judgement:
    """Check that the node keeps its name.

    Under another name, K3s registers a second node. The first node stays in the cluster, with its
    pods and their volumes.
    """
    if isinstance(facts.host, Unknown):
        return unknown(facts.host.reason)
    if facts.server.switch("with-node-id"):
        return passed("not checked: with-node-id is set", seen.source)
    name = (facts.server.node_name or facts.host.value.hostname).lower()
    known = [node.name for node in seen.value.nodes]
    if not known or name in known:
        return passed(name, seen.source)
    text = f"keep the node name {known[0]}"
    line = f'Environment="K3S_NODE_NAME={known[0]}"'
    remedy = drop_ins.written(text, "60-k3s-node-name.conf", line)
    if facts.server.value("node-name").origin.source in {Source.COMMAND_LINE, Source.CONFIG_FILE}:
        remedy = _restore(facts, "node-name")
    reason = (
        f"K3s registers a second node, {name}; {known[0]} stays in the cluster and is not ready,"
        " with its pods and local volumes"
    )
    return warned(f"{name}, but the cluster has {', '.join(known)}", reason, remedy, seen.source)


@check("config.server", "Other servers", DEGRADED, "unit")
def config_server(facts: Facts) -> Judgement:
    """Check that K3s does not join another server.

    Without a token, K3s ignores the address for its own SQLite datastore. With a token, K3s uses
    etcd in place of SQLite and joins the other server as a member with the address 10.41.0.100 (K3s
    pkg/cluster/managed.go and bootstrap.go, v1.21 to v1.36).
    """
    settings = facts.server
    value = settings.value("server")
    if not value.text:
        return passed("not set")
    reason = (
        "a rootless K3s is a cluster of one node: no other server reaches its address, 10.41.0.100"
        " (K3s #6488); without a token K3s ignores the setting, and with a token K3s does not use"
        " its own datastore"
    )
    remedy = without("server", value.origin, str(settings.home))
    return warned(f"set in {value.origin}", reason, remedy, str(value.origin.path or ""))


def _restore(facts: Facts, name: str) -> Remedy:
    """Return the remedy that restores a setting of the cluster.

    If the setting is set somewhere, the remedy removes it there. If the setting is the default, the
    remedy is a hint to set it.
    """
    origin = facts.server.value(name).origin
    if origin.source is not Source.DEFAULT:
        return without(name, origin, str(facts.server.home))
    text = f"set {name} to the value that the cluster was created with, in the configuration file"
    return Remedy(FixableBy.USER, text, ("k3s-rootless config list",))


def _networks(text: str) -> tuple[_Network, ...]:
    found = []
    for part in text.split(","):
        try:
            found.append(ipaddress.ip_network(part.strip(), strict=False))
        except ValueError:
            continue
    return tuple(found)


def _outside(text: str, networks: Iterable[_Network]) -> bool:
    """Return whether an address or network is in none of the networks of its family.

    Text that is not an address counts as inside, and so does a family without networks.
    """
    try:
        own = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    same = [one for one in networks if one.version == own.version]
    first, last = own.network_address, own.broadcast_address
    return bool(same) and not any(first in one and last in one for one in same)
