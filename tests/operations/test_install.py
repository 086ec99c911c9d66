"""Tests that the unit of the installed K3s is written and enabled, but not started."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import PreflightFailed, UsageError
from k3s_rootless.operations import install
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch import document
from k3s_rootless.operations.launch.events import ChecksFailed
from k3s_rootless.paths import UNIT
from k3s_rootless.service.plan.steps import Reload
from tests.fakes.session import Session
from tests.operations import unit


def test_the_unit_is_written_and_enabled_and_not_written_again(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write_k3s(home)

    installed = install.install(context, force=False)
    steps = unit.steps(events)
    again = install.install(context, force=False)
    kinds = {type(step) for step in again.steps}

    path = bus.directory / "user" / UNIT
    assert [f"write {path}", "reload the user manager", f"enable {UNIT}"] == steps[:3]
    assert unit.VERSION in (bus.units / UNIT).read_text()
    assert kinds <= {Reload}, "the fake reads the unit by another name of its directory"
    assert not installed.state.running
    found = document.of_install(installed)
    assert (True, str(path), unit.VERSION, True) == (
        found["changed"],
        found["unit"],
        found["release"],
        found["enabled"],
    )
    assert {"step": "WriteUnit", "does": steps[0]}.items() <= found["steps"][0].items()
    assert "StartUnit" not in [call[0] for call in bus.calls()]


def test_the_unit_is_not_enabled_on_request(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write_k3s(home)

    installed = install.install(context, force=False, enable=False)
    enabled = install.install(context, force=False)
    kept = install.install(context, force=False, enable=False)

    assert not installed.enabled
    assert f"enable {UNIT}" not in [step.describe() for step in installed.steps]
    assert (True, True) == (enabled.enabled, kept.enabled)
    assert (bus.units / UNIT).exists()


def test_nothing_is_written_without_a_usable_k3s(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write_k3s(home, "tea")
    with pytest.raises(PreflightFailed) as refused:
        install.install(context, force=False)

    assert "this host is not ready for rootless K3s: k3s" in str(refused.value)
    (failed,) = [event for event in events if isinstance(event, ChecksFailed)]
    assert all(one.check.startswith("k3s") for one in failed.findings)
    assert not (bus.units / UNIT).exists()


def test_a_unit_file_that_does_not_exist_is_an_error(context: Context, home: Path) -> None:
    unit.write_k3s(home)

    with pytest.raises(UsageError) as absent:
        install.install(context, force=False, unit_file=home / "absent.service")

    assert f"cannot use {home / 'absent.service'}: the file does not exist" == str(absent.value)
