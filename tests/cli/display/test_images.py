"""Tests of the results of the commands for images as text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.cli.display import images
from k3s_rootless.cli.display.report import Report
from k3s_rootless.node.images.facts import Image
from k3s_rootless.operations.images.load import Imported
from k3s_rootless.operations.images.preload import Preloaded
from k3s_rootless.operations.images.prune import Pruned
from tests.cli.display import documents, narrow

APP = Image("sha256:1", ("docker.io/library/app:1",), 2**20)
UNNAMED = Image("sha256:2", (), 512)
PATH = Path("/home/alice/.rancher/k3s/agent/images/app.tar")
PRELOADED = Preloaded(PATH, APP.names, 2**20, changed=True, at_once=False)
LATEST = "docker.io/library/app:latest has the tag `latest`"
FAILED = "cannot remove `sha256:2`: it is in use"
Captured = pytest.CaptureFixture[str]


def test_each_name_of_an_image_has_a_row(capsys: Captured) -> None:
    two = replace(APP, names=("docker.io/library/a:1", "docker.io/library/b:1"))

    images.show_list(Report(), (two, UNNAMED))
    images.show_list(Report(), ())

    _, _, *rows, nothing = capsys.readouterr().out.splitlines()
    assert [
        "docker.io/library/a:1   1.0 MiB   -",
        "docker.io/library/b:1   1.0 MiB   -",
        "sha256:2                512 B     -",
    ] == rows
    assert "no images" == nothing


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (replace(APP, pinned=True, preloaded=True), "pinned, preloaded"),
        (replace(APP, used_by=("a/x", "b/y", "c/z")), "a/x, b/y, c/z"),
        (replace(APP, preloaded=True, used_by=tuple("abcde")), "preloaded, a, b, c, 2 more"),
    ],
)
def test_a_row_shows_what_keeps_an_image(capsys: Captured, image: Image, expected: str) -> None:
    images.show_list(Report(), (image,))

    assert capsys.readouterr().out.endswith(f"1.0 MiB   {expected}\n")


def test_users_are_below_each_other_on_a_narrow_terminal() -> None:
    users = tuple(f"default/web-7c9f8d-{number}/app" for number in range(3))
    image = replace(APP, used_by=users)

    lines = narrow.lines(lambda report: images.show_list(report, (image,)))

    assert [f"{APP.text}   1.0 MiB   {users[0]},", f"{users[1]},", users[2]] == [
        line.strip() for line in lines[2:]
    ]


def test_an_import_names_the_images_and_warns(capsys: Captured) -> None:
    images.show_imported(Report(), Imported(("a:1", "app:latest"), (LATEST,)))

    printed = "imported a:1\nimported app:latest\n"
    assert (printed, f"warning: {LATEST}\n") == capsys.readouterr()


@pytest.mark.parametrize(
    ("preloaded", "expected"),
    [
        (PRELOADED, f"K3s imports {PATH} at its next start"),
        (replace(PRELOADED, at_once=True), f"K3s imports {PATH} now, and at each start"),
        (replace(PRELOADED, changed=False), f"nothing to do: {PATH} is the same archive"),
    ],
)
def test_a_preloaded_archive_has_its_time_and_its_images(
    capsys: Captured, preloaded: Preloaded, expected: str
) -> None:
    images.show_preloaded(Report(), preloaded)

    assert f"{expected}\ncontains docker.io/library/app:1\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("pruned", "out", "err"),
    [
        (
            Pruned((APP, UNNAMED)),
            "removed docker.io/library/app:1 (1.0 MiB)\nremoved sha256:2 (512 B)\n",
            "",
        ),
        (Pruned((UNNAMED,), dry_run=True), "would remove sha256:2 (512 B)\n", ""),
        (Pruned(()), "nothing to remove\n", ""),
        (Pruned((), problems=(FAILED,)), "", f"error: {FAILED}\n"),
    ],
    ids=["removed", "dry run", "nothing", "failed"],
)
def test_removed_images_have_their_sizes(
    capsys: Captured, pruned: Pruned, out: str, err: str
) -> None:
    images.show_pruned(Report(), pruned)

    assert (out, err) == capsys.readouterr()


@pytest.mark.parametrize(
    ("name", "show", "result"),
    [
        ("images-list", images.show_list, (APP, UNNAMED)),
        ("images-import", images.show_imported, Imported(APP.names, (LATEST,))),
        ("images-preload", images.show_preloaded, PRELOADED),
        ("images-prune", images.show_pruned, Pruned((APP,), problems=(FAILED,))),
    ],
)
def test_json_is_one_document_and_no_other_text(
    capsys: Captured, name: str, show: Callable[[Report, Any], None], result: object
) -> None:
    show(Report(json_for=name), result)

    documents.require_only(capsys, name)
