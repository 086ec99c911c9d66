"""Tests of the text about the parts of a bundle, present and missing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.cli.display import bundle
from k3s_rootless.cli.display.report import Report
from k3s_rootless.operations.bundle.create import Created
from k3s_rootless.operations.bundle.gather import Bundle
from k3s_rootless.support.facts import Item, Missing

if TYPE_CHECKING:
    import pytest

ABOUT = {"anonymous": False, "redacted": {"token": 2}, "redacted_total": 2, "secrets_note": ""}
GATHERED = Bundle(
    "k3s-rootless-support-x",
    datetime(2026, 11, 23, tzinfo=UTC),
    (
        Item("status.json", "state of K3s", "é", problem="node: no answer"),
        Item("host.json", "host", "{}"),
    ),
    (Missing("unit.txt", "the unit", "there is no unit"),),
    ABOUT,
)
INCOMPLETE = "status.json is incomplete: node: no answer\nunit.txt is missing: there is no unit\n"


def test_a_list_has_the_size_of_each_file(capsys: pytest.CaptureFixture[str]) -> None:
    bundle.show(Report(), Created(GATHERED))

    shown = capsys.readouterr()
    assert [
        ["FILE", "BYTES", "CONTENT"],
        ["status.json", "2", "state", "of", "K3s"],
        ["host.json", "2", "host"],
    ] == [line.split() for line in shown.out.splitlines() if "─" not in line]
    assert INCOMPLETE == shown.err


def test_the_written_file_is_shown_with_the_number_of_removed_secrets(
    capsys: pytest.CaptureFixture[str],
) -> None:
    noted = replace(GATHERED, about={**ABOUT, "secrets_note": "Not read: x."})

    bundle.show(Report(), Created(noted, Path("/a.tar.gz"), 4096))

    shown = capsys.readouterr()
    assert "wrote /a.tar.gz (4 KiB; 2 secrets removed)\n" == shown.out
    review = "Review the archive before you share it\n"
    assert f"{INCOMPLETE}Not read: x.\n{review}" == shown.err


def test_the_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    bundle.show(Report(json_for="bundle"), Created(GATHERED, Path("/a.tar.gz"), 4096))

    document = json.loads(capsys.readouterr().out)
    assert ("k3s-rootless/bundle/v1", "/a.tar.gz") == (document["schema"], document["file"])
    assert ["status.json", "host.json"] == [one["name"] for one in document["files"]]
