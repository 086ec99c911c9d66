"""Tests that the archive is written atomically, and replaces a file only with `force`."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless.errors import WouldOverwrite
from k3s_rootless.operations.bundle import create
from tests.fakes.host import Host
from tests.support.search import unpacked


def test_the_archive_is_written_to_the_requested_file(host: Host) -> None:
    file = host.paths.home / "support.tar.gz"

    created = create.create(host.context, file, anonymous=False, force=False)

    assert (file, file.stat().st_size) == (created.path, created.size)
    assert {one.name for one in created.bundle.items} == {*unpacked(file.read_bytes())}


def test_in_a_directory_the_name_of_the_file_contains_the_time(host: Host) -> None:
    created = create.create(host.context, host.paths.home, anonymous=False, force=False)

    assert host.paths.home / f"{created.bundle.folder}.tar.gz" == created.path
    assert created.path.exists()


def test_the_current_directory_is_the_default(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(host.paths.home)

    created = create.create(host.context, None, anonymous=False, force=False)

    assert Path(f"{created.bundle.folder}.tar.gz") == created.path
    assert created.path.exists()


def test_a_file_is_replaced_only_with_force(host: Host) -> None:
    file = host.write(host.paths.home / "support.tar.gz", "mine")

    with pytest.raises(WouldOverwrite):
        create.create(host.context, file, anonymous=False, force=False)
    assert "mine" == file.read_text()
    # The refusal comes before the sources are read, which takes seconds.
    assert [] == host.calls()
    create.create(host.context, file, anonymous=False, force=True)
    assert unpacked(file.read_bytes())


def test_a_preview_writes_nothing(host: Host) -> None:
    before = sorted(host.paths.home.rglob("*"))

    created = create.preview(host.context, anonymous=False)

    assert (None, 0) == (created.path, created.size)
    assert before == sorted(host.paths.home.rglob("*"))
    document = create.document(created)
    assert document["file"] is None
    assert [one.name for one in created.bundle.items] == [one["name"] for one in document["files"]]
    assert [one.reason for one in created.bundle.missing] == [
        one["reason"] for one in document["missing"]
    ]
