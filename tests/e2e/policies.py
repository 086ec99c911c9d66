"""NetworkPolicies of a cluster, with rules as those of K3s, and the log of refused packets.

The stand-in has no controller for NetworkPolicies, so these functions add its rules.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e import peers
from tests.e2e.conftest import Tool
from tests.lines import Lines, reading
from tests.machine import Machine

CLIENT, SERVER = "10.42.0.9", "10.42.0.8"
_LOG = "-m limit --limit 1000/second --limit-burst 1000 -j NFLOG --nflog-group 100"
_RULES = f"""set -e
PATH=$PATH:/usr/sbin:/sbin
ip address add {CLIENT}/32 dev lo
ip address add {SERVER}/32 dev lo
iptables -w -N KUBE-ROUTER-FORWARD
iptables -w -A FORWARD -m comment --comment 'kube-router netpol' -j KUBE-ROUTER-FORWARD
ipset create KUBE-DST-TEST hash:ip
rule="iptables -w -A OUTPUT -d {SERVER} -p udp"
$rule {_LOG} --nflog-prefix 'DROP by policy default/deny'
$rule {_LOG}
$rule -j DROP
"""
_SEND = f"""import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("{CLIENT}", 43210))
try:
    sender.sendto(b"x", ("{SERVER}", 80))
except PermissionError:
    pass
"""
_POLICY = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "deny"},
    "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]},
}
_POLICIES = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"


def has_programs() -> bool:
    """Return whether this host has the programs that the rules need."""
    return all(shutil.which(one) for one in ("iptables", "ipset"))


def add_pods(machine: Machine) -> None:
    """Add two Pods: `client`, and `web`, which the policy selects."""
    pods = "/api/v1/namespaces/default/pods"
    ends = (("client", CLIENT), ("web", SERVER))
    peers.request(machine, *(("POST", pods, _pod(name, address)) for name, address in ends))


def add_policy(machine: Machine) -> None:
    """Add a policy that allows no packets to the Pod `web`."""
    peers.request(machine, ("POST", _POLICIES, _POLICY))


def add_rules(tool: Tool) -> None:
    """Add the addresses of the Pods, and the rules of the policy."""
    tool("shell", "--", "sh", "-c", _RULES).check_returncode()


def _pod(name: str, address: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"nodeName": "node"},
        "status": {"podIP": address, "phase": "Running"},
    }


@contextmanager
def logging(tool: Tool, *options: str) -> Iterator[tuple[subprocess.Popen[str], Lines]]:
    """Start the log, and wait until it reads packets."""
    words = ("k3s-rootless", "policies", "log", *options)
    begin = ("sh", "-c", 'exec "$@" 2>&1', "sh", *words)
    with tool.machine.popen(*begin) as process, reading(process) as seen:
        seen.wait_for("waiting for packets")
        yield process, seen


def send(tool: Tool) -> None:
    """Let one Pod send a packet to the other."""
    tool("shell", "--", "python3", "-c", _SEND).check_returncode()
