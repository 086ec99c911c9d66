"""Tests of the log of refused packets: real rules, a real kernel, and the API of the stand-in."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning
from k3s_rootless.linux import namespaces, nflog
from k3s_rootless.linux.nflog import Reader
from k3s_rootless.linux.packets import Headers
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event, Notice
from k3s_rootless.operations.policies import log
from k3s_rootless.operations.policies.log import CaughtUp, Logged, Record, Verdict
from k3s_rootless.operations.policies.names import Named, Names
from k3s_rootless.paths import Paths
from tests.api_of_cluster import Cluster, serving
from tests.child_namespaces import Child, opened

_CLIENT, _SERVER = "10.42.0.9", "10.42.0.8"
_LIMIT = "-m limit --limit 1000/second --limit-burst 1000"
_LOG = f"{_LIMIT} -j NFLOG --nflog-group 100"
_NOWHERE = Path("/nowhere")
_PACKET = Headers("tcp", _CLIENT, _SERVER, 43210, 80)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with serving(Path(tmp_path_factory.mktemp("api")) / "tls") as found:
        found.add("client", status={"podIP": _CLIENT})
        labels = {"labels": {"app": "web"}}
        found.add("web", metadata=labels, status={"podIP": _SERVER})
        found.add_policy("deny", {"app": "web"})
        found.add_policy("other", {"app": "db"})
        yield found


@dataclass
class Followed:
    """The log of a child, with the addresses of two Pods and the rules of K3s for one of them."""

    child: Child
    context: Context
    events: list[Event]
    reader: Reader
    process: int
    records: Iterator[Record]

    def send(self, *, port: int = 80) -> None:
        """Let the first Pod send a packet to the second one."""
        code = f"""import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.bind(("{_CLIENT}", 0))
sender.sendto(b"x", ("{_SERVER}", {port}))"""
        # The rule that rejects a packet makes the send fail.
        self.child.run(shlex.join(["python3", "-c", code]).replace("\n", ";") + " || true")

    def next(self) -> Logged:
        """Return the next packet."""
        return next(one for one in self.records if isinstance(one, Logged))


@pytest.fixture
def followed(served: Cluster) -> Iterator[Followed]:
    if shutil.which("iptables") is None:
        pytest.skip("the package iptables is not installed")
    events: list[Event] = []
    context = Context(Paths(*[_NOWHERE] * 4), {}, os.getuid(), "alice", events.append)
    with opened() as child:
        child.run("ip link set lo up")
        for address in (_CLIENT, _SERVER):
            child.run(f"ip address add {address}/32 dev lo")
        rule = f"iptables -w -A OUTPUT -d {_SERVER}"
        child.run(f"{rule} {_LOG} --nflog-prefix 'DROP by policy default/deny'")
        child.run(f"{rule} -p udp --dport 80 {_LOG}")
        child.run(f"{rule} -p udp --dport 80 -j REJECT")
        directory, process = namespaces.open_process(child.pid), os.pidfd_open(child.pid)
        with closing(nflog.open_in(directory, 100)) as reader:
            records = log.follow(context, reader, process, Names(served.peer))
            assert isinstance(next(records), CaughtUp)
            yield Followed(child, context, events, reader, process, records)
        os.close(directory)
        os.close(process)


def test_a_packet_is_logged_with_its_pods_and_policies(followed: Followed) -> None:
    followed.send()

    by_policy, by_pod = followed.next(), followed.next()

    assert (Verdict.NOT_ALLOWED, Verdict.REJECTED) == (by_policy.verdict, by_pod.verdict)
    for one in (by_policy, by_pod):
        assert ("default/client", "default/web") == (one.named.source, one.named.destination)
        # The rule of the Pod has no prefix; the policies that select the Pod are named.
        assert ("default/deny",) == one.named.policies
        assert one.headers
        assert ("udp", _CLIENT, _SERVER, 80) == (
            one.headers.protocol,
            one.headers.source,
            one.headers.destination,
            one.headers.destination_port,
        )


def test_a_packet_that_another_policy_allows_is_not_rejected(followed: Followed) -> None:
    followed.send(port=81)
    followed.send(port=80)

    assert [Verdict.NOT_ALLOWED, Verdict.NOT_ALLOWED, Verdict.REJECTED] == [
        followed.next().verdict for _ in range(3)
    ]


def test_the_document_of_a_packet(followed: Followed) -> None:
    followed.send()

    document = log.document(followed.next())

    port = document["source"].pop("port")
    assert 0 < port < 65536
    assert document.pop("time").endswith("+00:00")
    assert {
        "verdict": "not allowed",
        "policies": ["default/deny"],
        "protocol": "udp",
        "source": {"address": _CLIENT, "pod": "default/client"},
        "destination": {"address": _SERVER, "port": 80, "pod": "default/web"},
        "flags": [],
        "lost": 0,
    } == document


def test_the_end_of_k3s_ends_the_log(followed: Followed) -> None:
    followed.send()
    followed.child.process.kill()

    found: list[Record] = []
    with pytest.raises(NotRunning, match="K3s stopped"):
        found.extend(followed.records)


def test_without_the_api_server_the_policy_of_the_prefix_is_named(served: Cluster) -> None:
    names = Names(replace(served.peer, port=1))

    named = names.of(_PACKET, "DROP by policy default/deny")

    assert Named(policies=("default/deny",)) == named
    assert "cannot query https://127.0.0.1:1" in names.problem


def test_a_problem_of_the_names_is_reported_once(followed: Followed, served: Cluster) -> None:
    followed.records = log.follow(
        followed.context, followed.reader, followed.process, Names(replace(served.peer, port=1))
    )
    followed.send()
    followed.send()
    assert "" == followed.next().named.source
    for _ in range(3):
        followed.next()
    next(followed.records)

    (notice,) = (one.text for one in followed.events if isinstance(one, Notice))
    assert notice.startswith("the names of Pods and policies can be old: cannot query https://")


class Clock:
    """A clock that each look at it advances by `step` seconds."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_an_address_that_is_used_again_has_the_name_of_now(served: Cluster) -> None:
    clock = Clock(0.0)
    names = Names(served.peer, clock)
    assert "default/client" == names.of(_PACKET, "").source

    served.state.delete("pods", "default", "client")
    try:
        # Within a second, the API server is not queried for each packet.
        assert "default/client" == names.of(_PACKET, "").source
        clock.now += 1.0
        assert "" == names.of(_PACKET, "").source
        served.add("later", status={"podIP": _CLIENT})
        clock.now += 1.0
        assert "default/later" == names.of(_PACKET, "").source
    finally:
        served.state.delete("pods", "default", "later")
        served.add("client", status={"podIP": _CLIENT})


def test_a_slow_api_server_is_queried_in_a_tenth_of_the_time(served: Cluster) -> None:
    clock = Clock(2.0)
    names = Names(served.peer, clock)
    names.of(_PACKET, "")  # it takes from 2 s to 4 s
    clock.step = 0.0
    served.state.delete("pods", "default", "client")
    try:
        clock.now = 21.9
        assert "default/client" == names.of(_PACKET, "").source
        clock.now = 22.0
        assert "" == names.of(_PACKET, "").source
    finally:
        served.add("client", status={"podIP": _CLIENT})
