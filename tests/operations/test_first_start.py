"""Tests that the settings of the first start are read from the drop-in that `config` wrote."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.operations import first_start, installation
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import configuration, drop_in
from k3s_rootless.service.facts import UnitState
from tests.fakes.session import Session

ABSENT = UnitState(UNIT, "not-found", "inactive", "dead")


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    path = installation.drop_in_directory(tmp_path) / drop_in.name(configuration.SUBJECT)
    path.parent.mkdir()
    text = configuration.render({"https-listen-port": ("7443",)}, ("/k3s", "server"))
    assert text is not None
    path.write_text(text)
    return tmp_path


def test_the_first_start_has_the_configured_arguments(configured: Path) -> None:
    assert "--https-listen-port=7443" in first_start.foreseen(ABSENT, configured).argv


@pytest.mark.parametrize(
    "state",
    [
        replace(ABSENT, load_state="loaded"),
        replace(ABSENT, load_state="masked"),
        replace(ABSENT, argv=("k3s",)),
    ],
)
def test_an_installed_unit_is_not_changed(state: UnitState, configured: Path) -> None:
    assert state == first_start.foreseen(state, configured)


def test_without_a_drop_in_there_are_no_arguments(tmp_path: Path) -> None:
    assert () == first_start.foreseen(ABSENT, tmp_path).argv


def test_the_unit_directory_is_that_of_the_user_manager(context: Context, bus: Session) -> None:
    with context.manager() as manager:
        named = first_start.unit_directory(manager, context.paths)
    bus.order(without=["UnitPath"])
    with context.manager() as manager:
        unnamed = first_start.unit_directory(manager, context.paths)

    assert (bus.directory / "user", context.paths.user_units) == (named, unnamed)
