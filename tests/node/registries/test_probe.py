"""Tests of requests from inside the namespaces of a real process, without a lab."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.node.inside import Node
from k3s_rootless.node.registries import loopback, probe
from k3s_rootless.node.registries.facts import (
    Config,
    Credentials,
    Endpoint,
    Proxies,
    Reply,
    State,
)
from tests.child_namespaces import GROUP
from tests.fakes.registry import PASSWORD, USER, registry

ENVIRON = dict(os.environ)


def endpoint(port: int, password: str = PASSWORD) -> Endpoint:
    config = Config(Credentials(USER, password))
    return Endpoint("r", "http", "127.0.0.1", port, "/v2", f"127.0.0.1:{port}", config=config)


@pytest.fixture
def inside(child: int, tmp_path: Path) -> Iterator[int]:
    """Yield the port of a registry with passwords in the namespaces of the child."""
    enter = ("nsenter", "--target", str(child), "--user", "--net", "--preserve-credentials")
    up = ("sh", "-c", 'ip link set lo up && exec "$@"', "sh")
    with registry(tmp_path, passwords=True, before=(*enter, *up)) as port:
        yield port


def test_a_registry_in_the_namespace_answers(child: int, inside: int) -> None:
    asked = [endpoint(inside), endpoint(inside, "wrong"), endpoint(1)]

    found = probe.replies(Node(child, GROUP), asked, Proxies(), ENVIRON)

    assert [State.READY, State.DENIED, State.UNREACHABLE] == [one.state for one in found]


def test_a_registry_on_the_loopback_of_the_host_does_not_answer(child: int, tmp_path: Path) -> None:
    with registry(tmp_path) as port:
        found = probe.replies(Node(child, GROUP), [endpoint(port)], Proxies(), ENVIRON)
        assert loopback.answers(endpoint(port))

    assert State.UNREACHABLE is found[0].state
    assert not loopback.answers(endpoint(port))


def test_a_process_outside_the_unit_is_not_entered(child: int) -> None:
    with pytest.raises(RootlessError, match="not in the control group of the unit"):
        probe.replies(Node(child, "/other.service"), [endpoint(1)], Proxies(), ENVIRON)


def test_the_environment_provides_no_modules(child: int, tmp_path: Path) -> None:
    foreign = tmp_path / "k3s_rootless"
    foreign.mkdir()
    (foreign / "__init__.py").write_text("raise SystemExit(3)\n")
    environ = {"PYTHONPATH": str(tmp_path), "PYTHONSTARTUP": "/nonexistent"}

    found = probe.replies(Node(child, GROUP), [endpoint(1)], Proxies(), environ)

    assert [State.UNREACHABLE] == [one.state for one in found]


def test_replies_keep_the_order(child: int) -> None:
    found = probe.replies(Node(child, GROUP), [endpoint(1), endpoint(2)], Proxies(), ENVIRON)

    assert all(isinstance(one, Reply) for one in found)
    assert 2 == len(found)
