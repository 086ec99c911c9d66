from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless.errors import UsageError
from k3s_rootless.k3s import features
from k3s_rootless.k3s.features import UNIT_PATH
from k3s_rootless.service.facts import UnitSettings
from k3s_rootless.service.unit import shipped
from k3s_rootless.service.unit.seal import Author, author
from k3s_rootless.service.unit.text import render, written_for
from tests.strategies import version

DATA: Any = json.loads((Path(__file__).parents[2] / "data/shipped-units.json").read_text("utf-8"))
NEW = "v1.36.1+k3s1"
COMMENT = "# systemd unit file for k3s (rootless)\n#\n# Usage: see the documentation\n\n"


def settings(
    release: str = NEW, binary: str = "/usr/local/bin/k3s", search: str = UNIT_PATH
) -> UnitSettings:
    variant = features.unit_variant(version(release))
    assert variant is not None
    return UnitSettings(release, variant.value, binary, search)


def lines(text: str) -> list[str]:
    return [
        line.replace('"', "") for line in text.splitlines() if line and not line.startswith("#")
    ]


def shipped_text(minor: str = "1.36") -> str:
    return COMMENT + "\n".join(DATA["units"][DATA["minors"][minor]]) + "\n"


@pytest.mark.parametrize("minor", DATA["minors"])
@pytest.mark.parametrize("patch", ["2+k3s1", "14+k3s2", "3-rc1+k3s1"])
def test_the_unit_of_each_minor_release_is_the_recorded_one(minor: str, patch: str) -> None:
    assert DATA["units"][DATA["minors"][minor]] == lines(render(settings(f"v{minor}.{patch}")))


def test_all_known_minor_releases_are_recorded() -> None:
    first = min(features.FIRST_UNIT.firsts).line[1]

    assert [f"1.{minor}" for minor in range(first, features.NEWEST_KNOWN_LINE[1] + 1)] == list(
        DATA["minors"]
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("/usr/local/bin/k3s", "/home/alice/bin/k3s"),
        lambda text: text.replace("Type=simple", "  Type=simple  \n; a comment\n\n"),
    ],
    ids=["as it is", "CRLF", "no last newline", "another path", "blanks"],
)
def test_k3ss_own_file_is_adopted_with_the_paths_of_this_host(change: Any) -> None:
    expected = settings(binary="/opt/my k3s/k3s", search=f"/run/wrappers/bin:{UNIT_PATH}")

    text = shipped.adopted(change(shipped_text()), expected, "k3s-rootless.service")

    assert author(text) is Author.OURS
    assert NEW == written_for(text)
    assert "# Usage: see the documentation" in text
    assert 'ExecStart="/opt/my k3s/k3s" server --rootless --snapshotter=fuse-overlayfs\n' in text
    assert f'Environment="PATH=/run/wrappers/bin:{UNIT_PATH}"\n' in text
    assert shipped.same(text, render(expected)), "so that the next `up` does not change it"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            shipped_text().replace("TasksMax=infinity", "TasksMax=100"),
            "`TasksMax=100` where K3s ships `TasksMax=infinity`",
        ),
        (
            shipped_text().replace("Delegate=yes\n", ""),
            "`Type=simple` where K3s ships `Delegate=yes`",
        ),
        (shipped_text() + "Alias=x\n", "`Alias=x` where the unit of K3s ends"),
        (
            shipped_text().replace("WantedBy=default.target\n", ""),
            "it ends where K3s ships `WantedBy=default.target`",
        ),
        (shipped_text("1.21"), "`ExecStart=… server --rootless` where"),
        (shipped_text().replace("--rootless", "--rootless --docker"), "--docker"),
        (shipped_text().replace("--rootless", "--rootless \\\n --docker"), "--docker"),
        ("<!DOCTYPE html>\n", "`<!DOCTYPE html>` where K3s ships `[Unit]`"),
        ("", "it ends where K3s ships `[Unit]`"),
        ("\x00\udcff", "where K3s ships"),
    ],
    ids=[
        "changed",
        "less",
        "more",
        "cut",
        "another release",
        "flag",
        "folded flag",
        "a web page",
        "empty",
        "rubbish",
    ],
)
def test_a_file_that_is_not_k3ss_own_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        shipped.adopted(text, settings(), "file")

    assert reason in caught.value.message


def test_another_release_or_path_is_not_the_same() -> None:
    ours = render(settings())

    assert not shipped.same(ours, render(settings("v1.36.2+k3s1")))
    assert not shipped.same(ours, render(settings(binary="/opt/k3s")))
    assert not shipped.same(ours, ours.replace("TasksMax=infinity", "TasksMax=1"))
