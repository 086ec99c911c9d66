"""Tests of what `images list` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.cli.display import images
from k3s_rootless.cli.display.report import Report
from k3s_rootless.node.images.facts import Image

if TYPE_CHECKING:
    import pytest


def test_each_name_of_an_image_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    images.show_list(
        Report(),
        (
            Image("sha256:1", ("docker.io/library/a:1", "docker.io/library/b:1"), 2**20),
            Image("sha256:2", (), 2**20),
        ),
    )

    _, _, *rows = capsys.readouterr().out.splitlines()
    assert ["docker.io/library/a:1", "docker.io/library/b:1", "sha256:2"] == [
        row.split()[0] for row in rows
    ]
