"""Tests of rotations: of a running and a stopped K3s, refused, failed, killed at many points."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Kind
from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.certificates import rotate
from k3s_rootless.operations.certificates.rotate import Plan, Request
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import UNIT
from k3s_rootless.service.plan.steps import RotateCertificates
from tests.cluster.certificates import authority
from tests.fakes.session import Session
from tests.killing import killed_at_many_points
from tests.operations import unit
from tests.operations.backup import k3s

ALL = Request((), 5, yes=True)
FOR = "# K3s for this user, without root. Written by k3s-rootless for K3s"
ADMIN = "server/tls/client-admin.crt"


class Cluster(k3s.FakeCluster):
    """A K3s that issues missing certificates at its start, as the real one does."""

    def start(self) -> None:
        """Start."""
        self.calls.append("start")
        self.running = True
        if not (self.data / ADMIN).exists():
            issue(self.data)


def issue(data: Path) -> None:
    signer = authority.issue("k3s-client-ca@1")
    admin = authority.issue("system:admin", signer, authority=False)
    authority.write(data / "server/tls", "client-admin.crt", admin)


def remove(data: Path) -> None:
    """Do what `k3s certificate rotate` does."""
    shutil.copytree(data / "server/tls", data / "server/tls-1700000000", dirs_exist_ok=True)
    for name in ("client-admin.crt", "client-admin.key"):
        (data / "server/tls" / name).unlink(missing_ok=True)


@pytest.fixture
def data(context: Context, bus: Session, home: Path) -> Path:
    """Return the data directory of an installed K3s."""
    found = unit.write(bus, home)
    name_program(bus, unit.write_k3s(home))
    authority.write_cluster(found)
    return found


def name_program(bus: Session, program: Path) -> None:
    """Let the unit run a program that exists."""
    path = bus.units / UNIT
    path.write_text(path.read_text().replace("/usr/local/bin/k3s", str(program)))


def plan(data: Path, *, running: bool = True) -> Plan:
    step = RotateCertificates(UNIT, ("k3s", "certificate", "rotate"), {}, data / "rootless", "test")
    return Plan(step, (), data, data / "k3s.yaml", running=running)


def test_a_running_k3s_is_stopped_rotated_and_started(context: Context, data: Path) -> None:
    cluster = Cluster(context, data)

    done = rotate.perform(context, plan(data), cluster, lambda: remove(data))

    assert ["stop", "start", "wait"] == cluster.calls
    assert (ADMIN,) == done.renewed
    assert data / "server/tls-1700000000" == done.backup
    assert not context.paths.transaction.exists()


def test_a_stopped_k3s_stays_stopped(context: Context, data: Path) -> None:
    cluster = Cluster(context, data, running=False)

    done = rotate.perform(context, plan(data, running=False), cluster, lambda: remove(data))

    assert [] == cluster.calls
    assert ((), data / "server/tls-1700000000") == (done.renewed, done.backup)


def test_k3s_runs_again_if_the_rotation_fails(context: Context, data: Path) -> None:
    cluster = Cluster(context, data)

    def fail() -> None:
        raise RootlessError("cannot renew K3s's certificates: no space left on device")

    with pytest.raises(RootlessError, match="no space left"):
        rotate.perform(context, plan(data), cluster, fail)
    assert ["stop", "start"] == cluster.calls
    assert not context.paths.transaction.exists()


def test_a_killed_rotation_is_continued_by_the_next_one(context: Context, data: Path) -> None:
    for number, _ in enumerate(
        killed_at_many_points(
            lambda: rotate.perform(
                context, plan(data), Cluster(context, data), lambda: remove(data)
            )
        )
    ):
        record = records.load(context.paths.transaction)
        if record is not None:
            assert (Kind.ROTATION, True) == (record.kind, record.only_stopped), number
        cluster = Cluster(context, data, running=False)
        rotate.perform(context, plan(data), cluster, lambda: remove(data))
        assert (data / ADMIN).exists()
        assert not context.paths.transaction.exists()
        for path in (data / "server").glob("tls-*"):
            shutil.rmtree(path)


def test_an_interrupted_rotation_is_explained(context: Context, data: Path, bus: Session) -> None:
    def kill() -> None:
        raise SystemExit

    class Killed(Cluster):
        def start(self) -> None:
            raise SystemExit

    with pytest.raises(SystemExit):
        rotate.perform(context, plan(data), Killed(context, data), kill)

    with context.manager() as manager:
        found = unfinished.find(context, manager.unit(UNIT))
    assert found is not None
    assert "a rotation of the certificates was interrupted after it had stopped K3s" == (
        found.problem
    )
    assert (
        ("finish", "k3s-rootless certs rotate"),
        ("start K3s", "k3s-rootless up"),
    ) == found.commands
    assert rotate.plan(context, ALL).running


def test_a_program_that_another_user_could_change_is_not_run(
    context: Context, data: Path, home: Path
) -> None:
    (home / "bin/k3s").chmod(0o757)

    with pytest.raises(RootlessError, match="it is not trusted because"):
        rotate.plan(context, ALL)


def test_the_plan_names_the_command_and_its_services(
    context: Context, data: Path, home: Path
) -> None:
    found = rotate.plan(context, Request(("admin", "kubelet"), 5))

    assert (
        str(home / "bin/k3s"),
        "certificate",
        "rotate",
        "--service",
        "admin",
        "--service",
        "kubelet",
        "--data-dir",
        str(data),
    ) == found.step.argv
    assert not found.running
    assert rotate.document(found, None)["services"] == ["admin", "kubelet"]


@pytest.mark.parametrize("service", ["certificate-authority", "tea", "", "--data-dir", "a\nb"])
def test_an_unknown_service_is_refused(service: str, context: Context, data: Path) -> None:
    with pytest.raises(UsageError, match="does not know this service") as caught:
        rotate.plan(context, Request((service,), 5))
    assert "scheduler" in str(caught.value.hint)


def test_a_release_without_the_command_is_refused(
    context: Context, bus: Session, home: Path
) -> None:
    unit.write(bus, home)
    path = bus.units / UNIT
    path.write_text(f"{FOR} v1.21.5+k3s1; x\n{path.read_text()}")

    with pytest.raises(RootlessError, match=r"the first releases that do: v1\.21\.8") as caught:
        rotate.plan(context, ALL)
    assert "release list --remote" in str(caught.value.hint)


def test_without_a_terminal_a_running_k3s_is_not_restarted(
    context: Context, data: Path, bus: Session
) -> None:
    with context.manager() as manager:
        manager.start(UNIT)

    with pytest.raises(UsageError, match="K3s must restart") as caught:
        rotate.rotate(context, Request((), 5), lambda _: None)
    assert "--yes" in str(caught.value.hint)
    with pytest.raises(RootlessError, match="nothing was changed"):
        rotate.rotate(context, Request((), 5), lambda _: False)
    assert (data / ADMIN).exists()


def test_without_a_unit_there_is_nothing_to_rotate(context: Context) -> None:
    with pytest.raises(NotRunning):
        rotate.plan(context, ALL)
