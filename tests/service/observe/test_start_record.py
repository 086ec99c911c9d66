from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.observe import start_record


@pytest.fixture
def unit(tmp_path: Path) -> UnitState:
    """Return a running unit with a drop-in."""
    fragment, drop_in = tmp_path / "k.service", tmp_path / "k.service.d" / "50.conf"
    drop_in.parent.mkdir()
    fragment.write_text("[Service]\nExecStart=/k3s server\n")
    drop_in.write_text("[Service]\nCPUWeight=50\n")
    return UnitState(
        "k.service",
        "loaded",
        "active",
        "running",
        fragment=fragment,
        drop_ins=(drop_in,),
        invocation="abc",
    )


@pytest.fixture
def record(tmp_path: Path, unit: UnitState) -> Path:
    """Return a record of the unit in its current state."""
    path = tmp_path / "record"
    path.write_text(start_record.text(unit) or "")
    return path


def test_a_change_is_detected_and_a_reverted_one_is_not(record: Path, unit: UnitState) -> None:
    (drop_in,) = unit.drop_ins
    assert start_record.is_as_started(record, unit)

    drop_in.write_text("[Service]\nCPUWeight=60\n")
    assert not start_record.is_as_started(record, unit)
    assert not start_record.is_as_started(record, replace(unit, drop_ins=()))

    drop_in.write_text("[Service]\nCPUWeight=50\n")
    assert start_record.is_as_started(record, unit)


@pytest.mark.parametrize(
    "change",
    [
        {"invocation": "another start"},
        {"invocation": ""},
        {"active_state": "inactive", "sub_state": "dead"},
        {"needs_reload": True},
    ],
)
def test_a_record_counts_for_its_own_start_and_loaded_files_only(
    record: Path, unit: UnitState, change: dict[str, object]
) -> None:
    assert not start_record.is_as_started(record, replace(unit, **change))  # type: ignore[arg-type]


def test_without_a_record_the_start_is_unknown(tmp_path: Path, unit: UnitState) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\xff" * 100_000)

    assert not start_record.is_as_started(tmp_path / "none", unit)
    assert not start_record.is_as_started(broken, unit)


def test_a_unit_that_does_not_run_with_its_files_is_not_recorded(unit: UnitState) -> None:
    assert start_record.text(unit) is not None
    assert start_record.text(replace(unit, needs_reload=True)) is None
    assert start_record.text(replace(unit, active_state="failed")) is None
    unit.drop_ins[0].unlink()
    assert start_record.text(unit) is None
