"""Tests that our drop-ins are built again for the new unit; edited drop-ins stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.operations import installation, renewal
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import configuration, drop_in
from k3s_rootless.service.facts import DesiredUnit
from tests.operations import unit

OLD = "[Service]\nExecStart=/old/k3s server --rootless\n"
NEW = "[Service]\nExecStart=/new/k3s server --rootless\n"


@pytest.fixture
def desired(home: Path) -> DesiredUnit:
    return DesiredUnit(home / UNIT, NEW, unit.VERSION)


@pytest.fixture
def written(home: Path) -> Path:
    """Return our drop-in with settings, as it was built for the previous unit."""
    path = installation.drop_in_directory(home) / drop_in.name(configuration.SUBJECT)
    path.parent.mkdir()
    command = configuration.command_words(OLD)
    text = configuration.render({"https-listen-port": ("7443",)}, command)
    assert text is not None
    path.write_text(text)
    path.chmod(configuration.MODE)
    return path


def test_nothing_is_rebuilt_without_drop_ins(context: Context, desired: DesiredUnit) -> None:
    assert () == renewal.steps(context, desired, force=False)


def test_a_drop_in_gets_the_command_of_the_new_unit(
    context: Context, desired: DesiredUnit, written: Path, events: list[Event]
) -> None:
    ((file, rendered),) = renewal.rebuilt(desired)
    steps = renewal.steps(context, desired, force=False)

    assert written == file.path == rendered.path
    assert "/new/k3s" in str(rendered.text)
    assert "7443" in str(rendered.text)
    assert [f"write {written}"] == [step.describe() for step in steps]
    assert [] == events


def test_an_edited_drop_in_is_kept_and_reported(
    context: Context, desired: DesiredUnit, written: Path, events: list[Event]
) -> None:
    written.write_text(f"{written.read_text()}# mine\n")

    steps = renewal.steps(context, desired, force=False)
    (notice,) = unit.notices(events)
    forced = renewal.steps(context, desired, force=True)

    assert () == steps
    assert notice.startswith(f"kept {written}: it was ")
    assert 1 == len(forced)
    assert 1 == len(events), "with force, the file is replaced"
