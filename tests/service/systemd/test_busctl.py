from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from k3s_rootless.paths import UNIT
from k3s_rootless.service.systemd import busctl
from k3s_rootless.service.systemd.user import UserManager
from tests.fakes import rawbus
from tests.fakes.session import Session
from tests.patience import PATIENCE

TEXT = "[Service]\nExecStart=/usr/local/bin/k3s server --rootless\n"


@pytest.mark.parametrize("begin", [False, True], ids=["not installed", "running"])
def test_busctl_returns_the_same_unit_as_the_client(fake: Session, begin: bool) -> None:  # noqa: FBT001
    if begin:
        (fake.units / UNIT).write_text(TEXT)
        fake.order(properties={"MemoryCurrent": ("t", 2**64 - 1), "LoadError": ("(ss)", ["", ""])})
    with UserManager({}, fake.runtime, os.getuid()) as manager:
        if begin:
            manager.reload()
            manager.start(UNIT)
        seen = busctl.unit(UNIT, fake.runtime)
        known = manager.unit(UNIT)

    assert seen is not None
    assert known == seen
    assert begin is seen.running


def test_a_unit_that_is_not_loaded_is_loaded(own: Session) -> None:
    (own.units / UNIT).write_text(TEXT)

    seen = busctl.unit(UNIT, own.runtime)

    assert seen is not None
    assert "loaded" == seen.load_state


def test_busctl_returns_the_same_environment_as_the_client(own: Session) -> None:
    with UserManager({}, own.runtime, os.getuid()) as manager:
        manager.change_environment((), {"K3S_ROOTLESS_MTU": "a=b c\n"})
        known = manager.environment

    assert known == busctl.environment(own.runtime)
    assert "a=b c\n" == known["K3S_ROOTLESS_MTU"]
    own.kill_manager()
    assert busctl.environment(own.runtime) is None


def test_busctl_returns_nothing_for_a_refusal_or_a_lost_bus(own: Session) -> None:
    own.order(errors={"GetAll": ("org.freedesktop.DBus.Error.AccessDenied", "no")})
    assert busctl.unit(UNIT, own.runtime) is None
    own.kill_manager()
    assert busctl.unit(UNIT, own.runtime) is None
    own.kill_bus()
    assert busctl.unit(UNIT, own.runtime) is None
    assert busctl.unit(UNIT, own.runtime / "none") is None


def test_a_silent_bus_has_a_time_limit(tmp_path: Path) -> None:
    begun = time.monotonic()
    with rawbus.on_socket(tmp_path / "bus", rawbus.silent):
        assert busctl.unit(UNIT, tmp_path) is None
    assert time.monotonic() - begun < PATIENCE


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket away")
def test_the_bus_of_another_user_is_not_queried(own: Session) -> None:
    os.chown(own.runtime / "bus", 65534, 65534)

    assert busctl.unit(UNIT, own.runtime) is None
    assert [] == own.calls()


@pytest.mark.parametrize(
    ("name", "path"),
    [
        (UNIT, "k3s_2drootless_2eservice"),
        ("7z.service", "_37z_2eservice"),
        ("a@\u00e9.service", "a_40_c3_a9_2eservice"),
    ],
)
def test_names_are_escaped_as_systemd_does(name: str, path: str) -> None:
    assert path == busctl.escaped(name)
