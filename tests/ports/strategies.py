"""Hypothesis strategies with few ports, so that conflicts occur as in real clusters."""

from __future__ import annotations

from hypothesis import strategies as st

from k3s_rootless.k3s.settings import Settings
from k3s_rootless.k3s.version import Version, parse
from k3s_rootless.linux.facts import Listener
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.ports.facts import ServicePort
from k3s_rootless.rootlesskit.facts import Forward
from tests import server

UID = 1000
PORTS = st.sampled_from(
    [1, 53, 80, 443, 1024, 1025, 6443, 8080, 10053, 10080, 10443, 11024, 30080, 65535]
)
WILD = "0.0.0.0"  # noqa: S104 (compared with, not bound to)
ADDRESSES = st.sampled_from(["", "127.0.0.1", WILD, "::", "::1"])
NAMES = st.sampled_from(["web", "dns", "traefik", "evil\x1b[2J\u202e"]) | st.text(max_size=4)
VERSIONS = st.sampled_from(
    [
        parse(text)
        for text in (
            "v1.21.2+k3s1",
            "v1.29.3+k3s1",
            "v1.34.3+k3s3",
            "v1.36.0+k3s1",
            "v1.30.5+k3s-74ce150e",
        )
    ]
    + [None]
)


def forwards() -> st.SearchStrategy[Forward]:
    protocols = st.sampled_from(["tcp", "udp", "tcp4", "udp6", "sctp", "\x1b"])
    return st.builds(Forward, protocols, ADDRESSES, PORTS, PORTS, st.just(""))


def service_ports() -> st.SearchStrategy[ServicePort]:
    return st.builds(
        ServicePort,
        namespace=NAMES,
        service=NAMES,
        name=NAMES,
        proto=st.sampled_from(["tcp", "udp", "sctp"]),
        port=PORTS,
        node_port=st.sampled_from([0, 30080, 30443]),
        type=st.sampled_from(["LoadBalancer", "ClusterIP", "NodePort", "ExternalName"]),
        addresses=st.sampled_from([(), ("127.0.0.1",)]),
        hostnames=st.sampled_from([(), ("lb.example.org",)]),
    )


def listeners() -> st.SearchStrategy[Listener]:
    addresses = st.sampled_from(["127.0.0.1", WILD, "::", "::1"])
    return st.builds(
        Listener,
        st.sampled_from(["tcp", "udp"]),
        addresses,
        PORTS,
        st.sampled_from([UID, 0, 65534]),
    )


def settings() -> st.SearchStrategy[Settings]:
    ports = st.sampled_from([6443, 443, 10443])
    return st.builds(server.settings, port=ports, servicelb=st.booleans())


def observed(
    records: st.SearchStrategy[tuple[object, ...]],
) -> st.SearchStrategy[Observed[tuple[object, ...]]]:
    return st.builds(Known, records) | st.builds(Unknown, st.just("nobody answered"))


def versions() -> st.SearchStrategy[Version | None]:
    return VERSIONS
