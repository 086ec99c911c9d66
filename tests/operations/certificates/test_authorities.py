"""Tests of new authorities: what is refused before K3s is called, and the restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.operations.certificates import authorities
from k3s_rootless.operations.certificates.authorities import Request
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import UNIT
from tests.cluster.certificates import authority
from tests.fakes.session import Session
from tests.operations import unit
from tests.operations.backup import k3s

CALL = "called"


@pytest.fixture
def data(context: Context, bus: Session, home: Path) -> Path:
    """Return the data directory of a running K3s, which logs how it is called."""
    data = unit.write(bus, home)
    program = unit.write_k3s(home)
    program.write_text(
        f'#!/bin/sh\necho "$@" "$K3S_URL" "$K3S_CONFIG_FILE" >> {home / CALL}\n'
        f'test ! -e {home / "refuse"} || {{ echo "level=fatal see server log" >&2; exit 1; }}\n'
    )
    path = bus.units / UNIT
    path.write_text(path.read_text().replace("/usr/local/bin/k3s", str(program)))
    with context.manager() as manager:
        manager.start(UNIT)
    return data


class Cluster(k3s.FakeCluster):
    """A K3s that is only started."""

    def start(self) -> None:
        """Start."""
        self.calls.append("start")


def stage(home: Path, data: Path, *, trusted: bool = True) -> Path:
    """Write new authorities, signed by the present ones or by a stranger."""
    present = authority.write_cluster(data)
    new = home / "new"
    for name, one in present.items():
        signer = one if trusted else authority.issue("stranger")
        authority.write(new / "tls", f"{name}.crt", authority.issue(f"{name}@2", signer))
    return new


def test_new_authorities_are_saved_and_k3s_restarts(
    context: Context, data: Path, home: Path
) -> None:
    new = stage(home, data)
    cluster = Cluster(context, data)
    found = authorities.plan(context, Request(new, 5))

    done = authorities.perform(context, found, cluster, force=False)

    assert () == found.problems
    assert ["start", "wait"] == cluster.calls
    call = f"certificate rotate-ca --path {new} --data-dir {data} https://127.0.0.1:6443 /dev/null"
    assert [call] == (home / CALL).read_text().splitlines()
    assert {"server-ca.crt", "client-ca.crt", "etcd/peer-ca.crt"} <= set(found.replaced)
    assert authorities.document(found, done)["changed"]


def test_untrusted_authorities_are_refused_before_k3s_is_called(
    context: Context, data: Path, home: Path, events: list[Event]
) -> None:
    new = stage(home, data, trusted=False)

    with pytest.raises(RootlessError, match="the present authority has not signed it") as caught:
        authorities.replace(context, Request(new, 5, yes=True), lambda _: None)
    assert len(caught.value.details["problems"]) == 5
    assert not (home / CALL).exists()


def test_with_force_the_problems_are_printed_and_k3s_gets_the_option(
    context: Context, data: Path, home: Path, events: list[Event]
) -> None:
    new = stage(home, data, trusted=False)
    found = authorities.plan(context, Request(new, 5, force=True))

    authorities._require_accepted(context, found, force=True)  # noqa: SLF001
    authorities.perform(context, found, Cluster(context, data), force=True)

    assert " --force " in (home / CALL).read_text()
    assert any(one.startswith("ignored because of --force") for one in unit.notices(events))


def test_k3s_is_not_restarted_if_it_refuses_the_authorities(
    context: Context, data: Path, home: Path
) -> None:
    new = stage(home, data)
    (home / "refuse").touch()
    cluster = Cluster(context, data)

    with pytest.raises(RootlessError, match="see server log"):
        authorities.perform(
            context, authorities.plan(context, Request(new, 5)), cluster, force=False
        )
    assert [] == cluster.calls


def test_a_key_that_others_can_read_is_a_problem(context: Context, data: Path, home: Path) -> None:
    new = stage(home, data)
    (new / "tls/server-ca.key").chmod(0o644)

    (problem,) = authorities.plan(context, Request(new, 5)).problems

    assert "other users can read the key" in problem


def test_nothing_is_done_without_an_answer(context: Context, data: Path, home: Path) -> None:
    new = stage(home, data)

    with pytest.raises(UsageError, match="all pods stop"):
        authorities.replace(context, Request(new, 5), lambda _: None)
    with pytest.raises(RootlessError, match="nothing was changed"):
        authorities.replace(context, Request(new, 5), lambda _: False)
    assert not (home / CALL).exists()


@pytest.mark.parametrize("name", ["missing", "empty", "file"])
def test_a_directory_without_authorities_is_refused(
    name: str, context: Context, data: Path, home: Path
) -> None:
    (home / "empty/tls").mkdir(parents=True)
    (home / "file").mkdir()
    (home / "file/tls").touch()

    with pytest.raises(RootlessError, match="cannot find"):
        authorities.plan(context, Request(home / name, 5))


def test_a_stopped_k3s_cannot_save_authorities(context: Context, bus: Session, home: Path) -> None:
    unit.write(bus, home)
    unit.write_k3s(home)
    path = bus.units / UNIT
    path.write_text(path.read_text().replace("/usr/local/bin/k3s", str(home / "bin/k3s")))

    with pytest.raises(NotRunning):
        authorities.plan(context, Request(home, 5))
