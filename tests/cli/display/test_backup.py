"""Tests of the text about backups: created, listed, verified and restored ones."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from k3s_rootless.backup.facts import Backup, Datastore, Entry, Manifest, Origin, Volumes
from k3s_rootless.cli.display import backup
from k3s_rootless.cli.display.report import Report
from k3s_rootless.operations.backup.create import Created
from k3s_rootless.operations.backup.kept import Kept
from k3s_rootless.operations.backup.restore import Restored
from tests.cli.display import narrow

BACKUPS = Path("/home/alice/.local/share/k3s-rootless/backups")
PATH = BACKUPS / "k3s-20261127-120000.tar.gz"
ENTRIES = (
    Entry("data/server/db/state.db", 2**21, "a" * 64, 0o600),
    Entry("data/server/token", 100, "b" * 64, 0o600),
)
MANIFEST = Manifest(
    created=datetime(2026, 11, 27, 12, tzinfo=UTC),
    tool="0.9.0",
    origin=Origin("alice", "laptop", "amd64", "v1.33.4+k3s1", {}),
    datastore=Datastore.SQLITE,
    live=True,
    revision=420,
    entries=ENTRIES,
    left_out=(),
)
VOLUMES = Volumes(3, 5 * 2**20, 1000, ("pvc-1", "pvc-2"), changed=0, consistent=True)
WITH_VOLUMES = replace(MANIFEST, volumes=VOLUMES, live=False, datastore=Datastore.ETCD)
SECRETS = "The backup contains secrets: keep it where only you can read it"
INCONSISTENT = (
    "The volumes may be inconsistent, because K3s ran meanwhile: files that belong together may not"
    " match each other"
)
Captured = pytest.CaptureFixture[str]


def test_a_new_backup_has_its_size_and_its_datastore(capsys: Captured) -> None:
    backup.show_created(Report(), Created(PATH, 2**19, MANIFEST), (BACKUPS / "old.tar.gz",))

    shown = capsys.readouterr()
    assert [
        f"wrote {PATH} (512 KiB, sqlite, K3s was running)",
        f"deleted {BACKUPS}/old.tar.gz",
    ] == shown.out.splitlines()
    assert [SECRETS, "It does not contain volumes"] == shown.err.splitlines()


def test_a_backup_of_a_stopped_k3s_has_its_downtime(capsys: Captured) -> None:
    backup.show_created(Report(), Created(PATH, 2**30, WITH_VOLUMES, 12.34))

    assert [
        "K3s was stopped for 12.3 s",
        f"wrote {PATH} (1.0 GiB, embedded etcd, K3s was stopped)",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [
        (VOLUMES, []),
        (replace(VOLUMES, consistent=False), [INCONSISTENT]),
        (
            replace(VOLUMES, changed=1, consistent=False),
            [INCONSISTENT, "1 file changed while it was copied"],
        ),
        (replace(VOLUMES, changed=2), ["2 files changed while they were copied"]),
    ],
)
def test_volumes_that_changed_meanwhile_are_reported(
    capsys: Captured, volumes: Volumes, expected: list[str]
) -> None:
    backup.show_created(Report(), Created(PATH, 1, replace(MANIFEST, volumes=volumes)))

    assert [
        SECRETS,
        "Volumes in it: 2 (5.0 MiB)",
        *expected,
    ] == capsys.readouterr().err.splitlines()


def test_backups_are_a_table_also_damaged_ones(capsys: Captured) -> None:
    unknown = replace(WITH_VOLUMES, origin=replace(MANIFEST.origin, k3s=None))
    found = (
        Kept(BACKUPS / "damaged.tar.gz", 0, None, "it is not a backup"),
        Kept(BACKUPS / "old.tar.gz", 2**20, unknown),
        Kept(PATH, 2**19, MANIFEST),
    )

    backup.show_list(Report(), BACKUPS, found)

    head, _, *rows = (line.split("   ") for line in capsys.readouterr().out.splitlines())
    assert ["FILE", "CREATED", "SIZE", "K3S", "CONTENT"] == [one.strip() for one in head if one]
    assert [
        ["damaged.tar.gz", "0 B", "it is not a backup"],
        [
            "old.tar.gz",
            "2026-11-27 12:00 UTC",
            "1.0 MiB",
            "unknown",
            "embedded etcd, K3s was stopped, volumes: 2 (5.0 MiB)",
        ],
        [PATH.name, "2026-11-27 12:00 UTC", "512 KiB", "v1.33.4+k3s1", "sqlite, K3s was running"],
    ] == [[cell.strip() for cell in row if cell.strip()] for row in rows]


def test_a_row_is_stacked_on_a_narrow_terminal() -> None:
    found = (Kept(PATH, 2**19, MANIFEST),)

    assert [
        f"FILE       {PATH.name}",
        "  CREATED  2026-11-27 12:00 UTC",
        "  SIZE     512 KiB",
        "  K3S      v1.33.4+k3s1",
        "  CONTENT  sqlite, K3s was running",
    ] == narrow.lines(lambda report: backup.show_list(report, BACKUPS, found))


def test_an_empty_directory_has_a_command(capsys: Captured) -> None:
    backup.show_list(Report(), BACKUPS, ())

    line = f"{BACKUPS} contains no backups; create one: k3s-rootless backup create\n"
    assert line == capsys.readouterr().out


@pytest.mark.parametrize(
    ("manifest", "release", "content"),
    [
        (
            MANIFEST,
            "v1.33.4+k3s1",
            "2 files (2.0 MiB); datastore: sqlite, K3s was running",
        ),
        (
            replace(WITH_VOLUMES, entries=ENTRIES[1:], origin=replace(MANIFEST.origin, k3s=None)),
            "unknown",
            "1 file (100 B); datastore: embedded etcd, K3s was stopped, volumes: 2 (5.0 MiB)",
        ),
    ],
)
def test_a_verified_backup_has_its_origin_and_its_content(
    capsys: Captured, manifest: Manifest, release: str, content: str
) -> None:
    backup.show_verified(Report(), Backup(PATH, 2**19, manifest))

    assert [
        f"{PATH} is complete and undamaged",
        f"created 2026-11-27 12:00 UTC by alice on laptop, K3s {release}",
        content,
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (Restored(PATH, restored=True), f"restored {PATH}; K3s is ready\n"),
        (
            Restored(PATH, restored=False, dry_run=True),
            f"{PATH} can be restored here; nothing was changed\n",
        ),
        (Restored(PATH, restored=False), "the earlier state is put back\n"),
    ],
    ids=["restored", "dry run", "undone"],
)
def test_a_restore_has_one_line(capsys: Captured, done: Restored, expected: str) -> None:
    backup.show_restored(Report(), done)

    assert expected == capsys.readouterr().out


def test_json_is_one_document(capsys: Captured) -> None:
    backup.show_created(
        Report(json_for="backup-create"), Created(PATH, 1, WITH_VOLUMES, 12.34), (PATH,)
    )
    created = json.loads(capsys.readouterr().out)
    found = Backup(PATH, 1, MANIFEST)
    backup.show_restored(
        Report(json_for="backup-restore"), Restored(PATH, restored=True, backup=found)
    )
    restored = json.loads(capsys.readouterr().out)

    assert "k3s-rootless/backup-create/v1" == created["schema"]
    assert (12.34, [str(PATH)]) == (created["downtime"], created["deleted"])
    assert (str(PATH), True) == (restored["backup"]["file"], restored["restored"])
