"""What a K3s without its agent does not need: it creates no namespaces and runs no Pods."""

from __future__ import annotations

from dataclasses import replace

from k3s_rootless.finding import Finding, Verdict, matches

OF_THE_AGENT = (
    "cgroup",
    "device",
    "kernel.br_netfilter",
    "kernel.bridge",
    "kernel.ip_set",
    "kernel.iptables",
    "kernel.nf_conntrack",
    "kernel.nflog",
    "kernel.veth",
    "kernel.vxlan",
    "net.cidr.rootless",
    "net.iptables",
    "net.mtu",
    "net.port.http",
    "net.port.https",
    "snapshotter",
    "subid",
    "sysctl.ip_forward",
    "sysctl.keys",
    "sysctl.ping",
    "uidmap",
    "userns",
)
"""The checks and groups of checks about namespaces, containers and the network of Pods."""
_NOT_NEEDED = "not needed: K3s runs without its agent (disable-agent)"


def relaxed(finding: Finding) -> Finding:
    """Return the finding for a K3s without an agent: what only the agent needs is no problem."""
    if finding.verdict is Verdict.PASS:
        return finding
    if not any(matches(finding.check, one) for one in OF_THE_AGENT):
        return finding
    observed = finding.observed or finding.reason
    return replace(
        finding, verdict=Verdict.INFO, observed=observed, reason=_NOT_NEEDED, remedy=None
    )
