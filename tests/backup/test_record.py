"""Tests of the record of a transaction."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Expected, Kind, Phase, Record, Replaced, Switch
from k3s_rootless.errors import RootlessError

SWITCH = Switch("v1.35.7+k3s1", "v1.36.3+k3s1", "v1.35.7+k3s1", None)
UPGRADE = Record(
    Phase.PLACED,
    Path("/a.tar.gz"),
    (Replaced(Path("/data/state.db"), new=False, old=True, copied=True),),
    running=True,
    kind=Kind.UPGRADE,
    switch=SWITCH,
    stopped=datetime(2026, 11, 27, 12, 0, 0, 5, tzinfo=UTC),
    failed=Path("/data/failed"),
)
RESTORE = Record(
    Phase.REPLACING,
    Path("/a.tar.gz"),
    (Replaced(Path("/data/storage"), new=True, volumes=True),),
    expected=Expected("/data", "node"),
)
RESET = Record(Phase.PLACED, None, (), kind=Kind.RESET, data=Path("/data"))


@pytest.mark.parametrize("record", [UPGRADE, RESTORE, RESET, Record(Phase.STAGING, None, ())])
def test_a_record_is_read_as_it_was_written(tmp_path: Path, record: Record) -> None:
    file = tmp_path / "own/transaction.json"

    records.save(file, record)

    assert records.load(file) == record
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_record_that_was_removed(tmp_path: Path) -> None:
    file = tmp_path / "transaction.json"
    records.save(file, UPGRADE)

    records.remove(file)
    records.remove(file)

    assert records.load(file) is None
    assert records.load(file / "below") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [("phase", "later"), ("kind", 1), ("paths", [{}]), ("stopped", "noon"), ("expected", {})],
)
def test_a_damaged_record_is_reported(tmp_path: Path, key: str, value: object) -> None:
    file = tmp_path / "transaction.json"
    records.save(file, UPGRADE)
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))

    with pytest.raises(RootlessError, match="cannot parse"):
        records.load(file)


def test_a_record_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "transaction.json").mkdir()

    with pytest.raises(RootlessError, match="cannot read"):
        records.load(tmp_path / "transaction.json")


def test_the_name_of_a_transaction() -> None:
    assert UPGRADE.name == "upgrade from K3s v1.35.7+k3s1 to v1.36.3+k3s1"
    assert Record(Phase.STAGING, Path("/a"), ()).name == "restore of `/a`"
