"""Tests that certificates are renewed before a start that would fail otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.operations import rotation
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import UNIT
from k3s_rootless.service.facts import UnitState
from tests.operations import unit

PROGRAM = "/usr/local/bin/k3s"


@pytest.fixture
def state(home: Path) -> UnitState:
    argv = (PROGRAM, "server", "--rootless", f"--data-dir={home / 'data'}")
    return replace(UnitState(UNIT, "loaded", "inactive", "dead"), argv=argv)


def test_a_first_start_needs_no_renewal(
    context: Context, state: UnitState, events: list[Event]
) -> None:
    assert rotation.needed(context, {}, state) is None
    assert [] == unit.notices(events)


def write(data: Path, port: int) -> None:
    """Write one of K3s's own kubeconfigs, and the certificate that it names."""
    tls = data / "server" / "tls"
    credentials = data / "server" / "cred"
    for directory in (tls, credentials):
        directory.mkdir(parents=True)
    for name in ("client-admin.crt", "client-admin.key"):
        (tls / name).touch()
    (credentials / "admin.kubeconfig").write_text(
        f"    server: https://127.0.0.1:{port}\n    client-certificate: {tls}/client-admin.crt\n"
    )


def test_kubeconfigs_of_another_port_need_a_renewal(
    context: Context, state: UnitState, home: Path
) -> None:
    write(home / "data", 7444)

    step = rotation.needed(context, {"PATH": "/bin"}, state)

    assert step is not None
    assert (PROGRAM, "certificate", "rotate", "--data-dir", str(home / "data")) == step.argv
    assert "/bin" == step.environ["PATH"]
    assert home / "data" / "rootless" == step.state


def test_kubeconfigs_of_the_same_port_need_no_renewal(
    context: Context, state: UnitState, home: Path
) -> None:
    write(home / "data", 6444)

    assert rotation.needed(context, {}, state) is None


def test_kubeconfigs_that_cannot_be_read_are_reported(
    context: Context, state: UnitState, home: Path, events: list[Event]
) -> None:
    write(home / "data", 7444)
    (home / "data/server/cred/admin.kubeconfig").write_text("tea")

    assert rotation.needed(context, {}, state) is None
    (notice,) = unit.notices(events)
    assert notice.startswith("cannot read K3s's own kubeconfigs: ")
