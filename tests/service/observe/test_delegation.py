from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.service.facts import ControllerReach, UnitState
from k3s_rootless.service.observe import delegation
from k3s_rootless.service.systemd.user import UserManager
from tests.fakes.session import Session

ALL = "cpuset cpu io memory pids"


@pytest.fixture
def mount(fake: Session) -> Iterator[Path]:
    own = fake.mount / "user.slice/user-1500.slice/user@1500.service"
    own.mkdir(parents=True, exist_ok=True)
    (fake.mount / "cgroup.controllers").write_text(f"{ALL} hugetlb\n")
    (own / "cgroup.controllers").write_text(f"{ALL}\n")
    yield fake.mount
    (fake.mount / "cgroup.controllers").unlink(missing_ok=True)


def value(seen: Observed[frozenset[str]]) -> str:
    assert isinstance(seen, Known)
    return " ".join(sorted(seen.value))


def test_the_controllers_of_a_unit_are_read_from_a_unit(
    fake: Session, manager: UserManager, mount: Path
) -> None:
    fake.order(effective="memory pids")

    found = delegation.reach(manager, 65533, mount=mount)

    assert "cpu cpuset hugetlb io memory pids" == value(found.kernel)
    assert "cpu cpuset io memory pids" == value(found.realized)
    assert "memory pids" == value(found.effective)
    assert Unknown("not read, because no controller is missing") == found.configured


def test_the_configuration_is_queried_if_a_controller_is_missing(
    fake: Session, manager: UserManager, mount: Path
) -> None:
    (mount / "user.slice/user-1500.slice/user@1500.service/cgroup.controllers").write_text(
        "cpu io memory pids\n"
    )
    fake.order(effective="cpu io memory pids")

    found = delegation.reach(manager, 65533, mount=mount)

    # This user does not exist, and most test machines have no system bus: the query was made, and
    # its result is unknown.
    assert isinstance(found.configured, Unknown)
    assert found.configured != Unknown("not read, because no controller is missing")


def test_the_transient_unit_is_delegated_to_and_stopped(
    fake: Session, manager: UserManager, mount: Path
) -> None:
    delegation.reach(manager, 65533, mount=mount)

    calls = fake.calls()
    assert ["StartTransientUnit", "LoadUnit", "StopUnit"] == [call[0] for call in calls]
    assert calls[0][1].startswith("k3s-rootless-check-")
    assert calls[0][1] == calls[2][1]
    assert any("Delegate" in setting for setting in calls[0][3])
    assert any("RuntimeMaxUSec" in setting for setting in calls[0][3])


OWN = UnitState(
    "k3s-rootless.service",
    "loaded",
    "active",
    "running",
    delegate=True,
    control_group="/user.slice/k3s-rootless.service",
)


@pytest.fixture
def given(mount: Path) -> Path:
    """Return the `cgroup.controllers` file of K3s's own unit."""
    (mount / OWN.control_group.lstrip("/")).mkdir(parents=True, exist_ok=True)
    return mount / OWN.control_group.lstrip("/") / "cgroup.controllers"


def test_the_unit_of_a_running_k3s_is_read_if_it_has_all_controllers(
    fake: Session, manager: UserManager, mount: Path, given: Path
) -> None:
    given.write_text(f"{ALL}\n")

    found = delegation.reach(manager, 65533, OWN, mount)

    assert found.effective == Known(
        frozenset(ALL.split()), "cgroup.controllers of k3s-rootless.service, which is running"
    )
    assert [] == fake.calls()


@pytest.mark.parametrize(
    ("own", "has"),
    [
        (OWN, "cpu io memory pids\n"),
        (OWN, None),
        (replace(OWN, delegate=False), f"{ALL}\n"),
        (replace(OWN, delegate=None), f"{ALL}\n"),
        (replace(OWN, active_state="activating", sub_state="auto-restart"), f"{ALL}\n"),
        (replace(OWN, control_group=""), f"{ALL}\n"),
    ],
    ids=["lacks one", "unreadable", "not delegated to", "unknown", "exited", "in no group"],
)
def test_otherwise_a_transient_unit_is_read(
    fake: Session, manager: UserManager, mount: Path, given: Path, own: UnitState, has: str | None
) -> None:
    given.unlink(missing_ok=True)
    if has is not None:
        given.write_text(has)
    fake.order(effective="cpuset pids")

    found = delegation.reach(manager, 65533, own, mount)

    assert (
        Known(
            frozenset({"cpuset", "pids"}),
            "cgroup.controllers of a transient unit with Delegate=yes",
        )
        == found.effective
    )
    assert "StartTransientUnit" in [call[0] for call in fake.calls()]


def test_an_empty_list_of_controllers_is_known(manager: UserManager, mount: Path) -> None:
    assert (
        Known(frozenset(), "cgroup.controllers of a transient unit with Delegate=yes")
        == delegation.reach(manager, 65533, mount=mount).effective
    )


def test_controllers_are_unknown_if_the_unit_cannot_be_started(
    fake: Session, manager: UserManager, mount: Path
) -> None:
    fake.order(
        errors={"StartTransientUnit": ("org.freedesktop.DBus.Error.AccessDenied", "Access denied")}
    )

    found = delegation.reach(manager, 65533, mount=mount)

    assert Unknown("cannot check it with a transient unit: Access denied") == found.effective
    assert "cpu cpuset io memory pids" == value(found.realized)


def test_controllers_are_unknown_if_the_unit_failed(
    fake: Session, manager: UserManager, mount: Path
) -> None:
    fake.order(results={"StartTransientUnit": "failed"})

    found = delegation.reach(manager, 65533, mount=mount)

    assert Unknown("the transient unit has no cgroup") == found.effective


def test_the_controllers_count_even_if_the_unit_has_ended(
    fake: Session, manager: UserManager, mount: Path
) -> None:
    gone = ("org.freedesktop.systemd1.NoSuchUnit", "Unit not loaded.")
    fake.order(effective=ALL, errors={"StopUnit": gone})

    assert "cpu cpuset io memory pids" == value(
        delegation.reach(manager, 65533, mount=mount).effective
    )


def test_without_cgroup_v2_everything_is_unknown(fake: Session, manager: UserManager) -> None:
    found = delegation.reach(manager, 65533, mount=fake.directory / "nowhere")

    assert isinstance(found.kernel, Unknown)
    assert isinstance(found.realized, Unknown)
    assert isinstance(found.effective, Unknown)
    assert found.kernel.reason == (
        f"cannot read {fake.directory}/nowhere/cgroup.controllers: No such file or directory"
    )


def test_a_lost_bus_leaves_the_controllers_that_were_read(own: Session) -> None:
    (own.mount / "cgroup.controllers").write_text(f"{ALL}\n")
    own.order(exit_at="StartTransientUnit")
    with UserManager({}, own.runtime, os.getuid()) as manager:
        found = delegation.reach(manager, 65533, mount=own.mount)

    assert "cpu cpuset io memory pids" == value(found.kernel)
    assert isinstance(found.effective, Unknown)


def test_without_a_manager_only_the_kernel_is_known(mount: Path) -> None:
    found = delegation.unreachable("there is no bus", mount)

    assert "cpu cpuset hugetlb io memory pids" == value(found.kernel)
    assert (Unknown("there is no bus"),) * 3 == (found.configured, found.realized, found.effective)


@pytest.mark.parametrize(
    ("realized", "effective", "expected"),
    [
        (Known(frozenset({"cpu", "pids"})), Known(frozenset({"pids"})), True),
        (Known(frozenset({"cpu", "pids"})), Known(frozenset({"cpu", "pids"})), False),
        (Known(frozenset({"pids"})), Known(frozenset({"pids"})), False),
        (Known(frozenset({"io", "pids"})), Known(frozenset({"pids"})), False),
        (Unknown("no"), Known(frozenset()), False),
        (Known(frozenset({"cpu"})), Unknown("no"), False),
    ],
    ids=["not passed on", "complete", "not delegated", "not needed", "unread", "unproven"],
)
def test_reexecution_helps_if_only_the_units_lack_a_controller(
    realized: Observed[frozenset[str]], effective: Observed[frozenset[str]], *, expected: bool
) -> None:
    found = ControllerReach(Unknown(""), Unknown(""), realized, effective)

    assert delegation.only_reexecution_lacks(found, frozenset({"cpu", "pids"})) is expected
