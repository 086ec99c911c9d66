"""Tests of the record of a transaction."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.backup import record as records
from k3s_rootless.backup.facts import Expected, Kind, Phase, Record, Replaced, Switch
from k3s_rootless.errors import PreflightFailed, RootlessError

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

    with pytest.raises(RootlessError, match="it is not a regular file"):
        records.load(tmp_path / "transaction.json")


def test_a_record_of_another_user_is_not_obeyed(tmp_path: Path) -> None:
    file = tmp_path / "transaction.json"
    records.save(file, UPGRADE)
    os.chown(file, 12345, 12345)

    with pytest.raises(PreflightFailed, match="it belongs to uid 12345"):
        records.load(file)


@pytest.mark.parametrize("mode", [0o622, 0o602])
def test_a_record_that_others_can_write_is_not_obeyed(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "transaction.json"
    records.save(file, UPGRADE)
    os.chown(file, -1, 12345)
    file.chmod(mode)

    with pytest.raises(PreflightFailed, match="can write to"):
        records.load(file)


def test_a_record_in_a_directory_of_others_is_not_obeyed(tmp_path: Path) -> None:
    file = tmp_path / "shared/own/transaction.json"
    records.save(file, UPGRADE)
    (tmp_path / "shared").chmod(0o777)

    with pytest.raises(PreflightFailed, match="every user can write to"):
        records.load(file)


def _naming(tmp_path: Path, path: Path, failed: Path | None = None) -> Path:
    """Write a record that names a path that was not there before, as if a restore had made it."""
    file = tmp_path / "own/transaction.json"
    placed = Record(Phase.PLACED, Path("/a"), (Replaced(path, new=True),), failed=failed)
    records.save(file, placed)
    return file


def test_a_record_that_names_a_directory_of_the_user(tmp_path: Path) -> None:
    documents = tmp_path / "Documents"
    documents.mkdir()

    with pytest.raises(RootlessError, match="no command of k3s-rootless replaces this directory"):
        records.load(_naming(tmp_path, documents))

    tls = tmp_path / "k3s/server/tls"
    tls.mkdir(parents=True)
    assert records.load(_naming(tmp_path, tls))


def test_a_record_that_names_no_absolute_path(tmp_path: Path) -> None:
    for path in ("server/tls", f"{tmp_path}/server/../../tls"):
        with pytest.raises(RootlessError, match="not an absolute path"):
            records.load(_naming(tmp_path, Path(path)))


def test_a_record_whose_paths_others_can_change(tmp_path: Path) -> None:
    shared = tmp_path / "shared/server"
    shared.mkdir(parents=True)
    shared.chmod(0o777)

    with pytest.raises(PreflightFailed, match="every user can write to"):
        records.load(_naming(tmp_path, shared / "token"))


def test_a_record_that_keeps_a_datastore_elsewhere(tmp_path: Path) -> None:
    file = _naming(tmp_path, tmp_path / "server/token", failed=tmp_path / "elsewhere/kept")

    with pytest.raises(RootlessError, match="no path of this record is beside it"):
        records.load(file)


def test_the_name_of_a_transaction() -> None:
    assert UPGRADE.name == "upgrade from K3s v1.35.7+k3s1 to v1.36.3+k3s1"
    assert Record(Phase.STAGING, Path("/a"), ()).name == "restore of `/a`"
