"""Pytest fixtures for labs.

`lab` is booted once per session, `any_systemd` boots each release, and `fresh` resets a machine.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import NoReturn

import pytest

from tests.debian import releases
from tests.lab.driver import Lab
from tests.lab.orders import give_default_orders
from tests.machine import HOME, RUNTIME_DIR, USER, Machine, MachineError

_TIME_LIMIT = 10 * 60
_STOPS_WITHIN = 30
_UNIT = "k3s-rootless.service"
_LEFT_BY_TESTS = (
    HOME / ".config" / "k3s-rootless",
    HOME / ".config" / "systemd",
    HOME / ".kube",
    HOME / ".local" / "share" / "k3s-rootless",
    HOME / ".rancher",
    RUNTIME_DIR / "k3s",
    RUNTIME_DIR / "systemd" / "user",
    RUNTIME_DIR / "systemd" / "user.control",
)
_RESET_MANAGER = """
names=$(systemctl --user show-environment | sed -n 's/^\\(_\\{0,1\\}K3S_[A-Za-z0-9_]*\\)=.*/\\1/p')
test -z "$names" || systemctl --user unset-environment $names || exit
systemctl --user daemon-reload && systemctl --user reset-failed
"""


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Boot a lab for the session, or skip the test with the reason."""
    try:
        machine = Lab.up()
    except MachineError as error:
        absent("lab", str(error))
    yield machine
    machine.down()


@pytest.fixture(scope="session", params=releases.NAMES)
def any_systemd(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Boot a lab of each Debian release in turn, hence with each systemd.

    If a lab cannot boot, the test is skipped with the reason. Tests of one release run together, so
    that at most one of these labs is up at a time.
    """
    release = releases.find(request.param)
    try:
        machine = Lab.up(f"pid-{os.getpid()}-{release.name}", release=release.name)
    except MachineError as error:
        absent(f"lab of Debian {release.name}", str(error), required=release.required)
    yield machine
    machine.down()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Raise the time limit of tests in labs of other releases.

    The first test of a release builds the root tree.
    """
    for item in items:
        if "any_systemd" in getattr(item, "fixturenames", ()) and not item.get_closest_marker(
            "timeout"
        ):
            item.add_marker(pytest.mark.timeout(_TIME_LIMIT))


def absent(layer: str, reason: str, *, required: bool = True) -> NoReturn:
    """Skip a test because `layer` cannot run here; fail if all layers are required."""
    if required and os.environ.get("REQUIRE_LAYERS") == "1":
        pytest.fail(f"the {layer} is required, and cannot run: {reason}", pytrace=False)
    pytest.skip(f"no {layer}: {reason}")


def fresh(machine: Machine) -> None:
    """Stop K3s on `machine`, and remove its files and settings that tests left."""
    try:
        machine.user("systemctl", "--user", "stop", _UNIT, timeout=_STOPS_WITHIN)
    except subprocess.TimeoutExpired:
        # If the child of rootlesskit ends before it is ready, rootlesskit waits forever. The unit
        # of K3s has no stop timeout.
        machine.user("systemctl", "--user", "kill", "--signal=KILL", _UNIT).check_returncode()
    # Remove as root: files that a container wrote belong to a subordinate id of the user.
    removal = ("sh", "-c", f'rm -rf -- "$@" && loginctl enable-linger {USER}', "sh")
    machine.root(*removal, *map(str, _LEFT_BY_TESTS)).check_returncode()
    machine.user("sh", "-c", _RESET_MANAGER).check_returncode()
    give_default_orders(machine)
