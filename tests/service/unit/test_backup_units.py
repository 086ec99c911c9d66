"""Tests of the units of scheduled backups."""

from __future__ import annotations

import pytest

from k3s_rootless.errors import UsageError
from k3s_rootless.service.facts import BackupSettings
from k3s_rootless.service.unit import backup_units
from k3s_rootless.service.unit.seal import Author, author

SETTINGS = BackupSettings(("/opt/a b%/k3s-rootless",), "daily", 7)


def test_the_texts_are_sealed_and_readable() -> None:
    service, timer = backup_units.service(SETTINGS), backup_units.timer(SETTINGS)

    assert author(service) is author(timer) is Author.OURS
    assert backup_units.keep_of(service) == 7
    assert backup_units.every_of(timer) == "daily"
    line = 'ExecStart="/opt/a b%%/k3s-rootless" backup create --live --keep 7'
    assert line in service.splitlines()
    assert "Environment=" not in service
    assert {"Persistent=true", "RandomizedDelaySec=1h"} <= set(timer.splitlines())


def test_parts_of_the_backups() -> None:
    settings = BackupSettings(("/a",), "daily", 7, parts=backup_units.PARTS)
    service = backup_units.service(settings)

    assert 'ExecStart="/a" backup create --live --keep 7 --volumes --images' in service.splitlines()
    assert backup_units.parts_of(service) == backup_units.PARTS
    assert backup_units.parts_of(backup_units.service(SETTINGS)) == ()
    assert backup_units.parts_of("[Service]\nExecStart=/a --images\n") == ("--images",)


def test_another_data_directory_of_the_user() -> None:
    settings = BackupSettings(("/a",), "weekly", 1, "/srv/my data")

    assert '\nEnvironment="XDG_DATA_HOME=/srv/my data"\n' in backup_units.service(settings)


@pytest.mark.parametrize("program", ["/a'b", '/a"b', "/a\\b", "/a\nb", "/a$b", "/a\udcff"])
def test_a_program_that_a_unit_cannot_start(program: str) -> None:
    with pytest.raises(UsageError, match="cannot schedule backups with"):
        backup_units.service(BackupSettings((program,), "daily", 7))


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("", None),
        ("[Service]\nExecStart=/a backup create\n", None),
        ("[Service]\nExecStart=/a --keep x\n", None),
        ("[Service]\nExecStart=/a --keep\n", None),
        ('[Service]\nExecStart=/a "--keep" 12 --live\n', 12),
        ('[Service]\nExecStart="/a --keep 3\n', None),
    ],
)
def test_keep_of_an_edited_service(text: str, keep: int | None) -> None:
    assert backup_units.keep_of(text) == keep


@pytest.mark.parametrize(
    ("text", "every"),
    [
        ("", None),
        ("[Timer]\nOnBootSec=5min\n", None),
        ("[Timer]\nOnCalendar=daily\nOnCalendar=\n", None),
        ("[Timer]\nOnCalendar=\nOnCalendar=Mon 03:00\n", "Mon 03:00"),
        ("[Unit]\nOnCalendar=daily\n", None),
    ],
)
def test_schedule_of_an_edited_timer(text: str, every: str | None) -> None:
    assert backup_units.every_of(text) == every
