"""Tests that the tool still prints what was recorded for the documentation."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import recorded
from tests.e2e.conftest import Tool
from tests.e2e.recorded_output import recordings, same
from tests.lab.driver import Lab
from tests.lab.fixtures import absent
from tests.machine import MachineError


@pytest.fixture
def new_lab() -> Iterator[Lab]:
    """Boot a lab with an empty journal, because earlier starts are part of some outputs."""
    try:
        machine = Lab.up(f"pid-{os.getpid()}-recorded")
    except MachineError as error:
        absent("lab", str(error))
    yield machine
    machine.down()


@pytest.mark.lab
def test_the_recordings_are_what_the_tool_prints(new_lab: Lab) -> None:
    """`python -m tests.e2e.recorded_output` records everything again."""
    if not new_lab.plays_k3s:
        pytest.skip("the outputs were recorded with the stand-in")
    new = dict(recordings(Tool(new_lab)))

    assert {file.name for file in recorded.OUTPUTS.iterdir()} == set(new)
    assert {} == {
        name: (recorded.stable(recorded.read(name), kind), recorded.stable(text, kind))
        for name, text in new.items()
        if not same(name, text) and (kind := f".{name.rpartition('.')[2]}")
    }
