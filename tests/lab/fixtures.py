"""Pytest fixtures for labs: `lab`, booted once for the session, and `fresh`, which makes a machine as good as new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.lab.driver import Lab
from tests.lab.errors import LabError
from tests.lab.orders import give_default_orders
from tests.machine import HOME, RUNTIME_DIR, USER, Machine
from tests.payload import PayloadError

_UNIT = "k3s-rootless.service"
_LEFT_BY_TESTS = (
    HOME / ".config" / "systemd",
    HOME / ".kube",
    HOME / ".rancher",
    RUNTIME_DIR / "k3s",
    RUNTIME_DIR / "systemd" / "user",
    RUNTIME_DIR / "systemd" / "user.control",
)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Boot a lab for the session; where that cannot be, skip with the reason."""
    try:
        machine = Lab.up()
    except (LabError, PayloadError) as error:
        absent("lab", str(error))
    yield machine
    machine.down()


def absent(layer: str, reason: str) -> NoReturn:
    """Skip a test because `layer` cannot run here; where all layers are required, fail it."""
    if os.environ.get("REQUIRE_LAYERS") == "1":
        pytest.fail(f"the {layer} is required, and cannot run: {reason}", pytrace=False)
    pytest.skip(f"no {layer}: {reason}")


def fresh(machine: Machine) -> None:
    """Stop K3s on `machine`, and take away what tests have written for it and told the user manager."""
    machine.user("systemctl", "--user", "stop", _UNIT)
    # As root: what a container wrote belongs to one of the user's subordinate ids.
    machine.root("rm", "-rf", "--", *map(str, _LEFT_BY_TESTS)).check_returncode()
    machine.root("loginctl", "enable-linger", USER).check_returncode()
    names = [line.partition("=")[0] for line in machine.user("systemctl", "--user", "show-environment").stdout.split()]
    if ours := [name for name in names if name.startswith("K3S_")]:
        machine.user("systemctl", "--user", "unset-environment", *ours).check_returncode()
    machine.user("systemctl", "--user", "daemon-reload").check_returncode()
    machine.user("systemctl", "--user", "reset-failed").check_returncode()
    give_default_orders(machine)
