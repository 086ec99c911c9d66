"""Tests of the questions that files answer: they need no session and no user manager."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import USER
from tests.cli.test_bad_bus import Ended, environment, require_quiet, run
from tests.cluster.certificates import authority

pytestmark = pytest.mark.thorough
KUBECONFIG = {
    "clusters": [
        {
            "name": "default",
            "cluster": {"server": "https://127.0.0.1:6443", "certificate-authority-data": "Y2E="},
        }
    ],
    "users": [
        {
            "name": "default",
            "user": {"client-certificate-data": "Y2VydA==", "client-key-data": "a2V5"},
        }
    ],
    "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
    "current-context": "default",
}


@pytest.fixture
def installed(home: Path) -> Iterator[Path]:
    """Yield the home directory of a user with the files of an installed K3s, and no session."""
    unit = home / "config/systemd/user/k3s-rootless.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(
        "[Service]\nExecStart=/usr/local/bin/k3s server --rootless"
        f" --data-dir={home}/data --write-kubeconfig={home}/kube.yaml\n"
    )
    (home / "kube.yaml").write_text(yaml.safe_dump(KUBECONFIG))
    (home / "data").mkdir()
    authority.write_cluster(home / "data")
    image(home / "image.tar")
    for path in (home, *home.rglob("*")):
        os.chown(path, USER, USER)
    yield home
    shutil.rmtree(home / "data")


def image(path: Path) -> None:
    """Write an archive of one image without layers."""
    with tarfile.open(path, "w") as archive:
        for name, content in (
            ("config.json", {}),
            ("manifest.json", [{"Config": "config.json", "RepoTags": ["a:1"], "Layers": []}]),
        ):
            (path.parent / name).write_text(json.dumps(content))
            archive.add(path.parent / name, name)


def answer(home: Path, command: str) -> Ended:
    environ = environment(home, None) | {"XDG_DATA_HOME": str(home / "share")}
    (ended,) = run(environ, commands=[command]).values()
    require_quiet(ended)
    return ended


@pytest.mark.parametrize(
    ("command", "key"),
    [
        ("kubeconfig show", "kubeconfig"),
        ("kubeconfig path", "path"),
        ("certs list", "certificates"),
        ("backup list", "backups"),
        ("config list", "settings"),
        ("release list", "releases"),
    ],
)
def test_what_files_answer_needs_no_session(installed: Path, command: str, key: str) -> None:
    ended = answer(installed, command)

    assert 0 == ended.code, ended
    assert ended.document[key] or command in {"backup list", "release list"}


def test_a_kubeconfig_is_merged_without_a_session(installed: Path) -> None:
    ended = answer(installed, f"kubeconfig merge --into {installed}/own.yaml")

    assert 0 == ended.code, ended
    assert "k3s-rootless" in (installed / "own.yaml").read_text()
    assert 0o600 == (installed / "own.yaml").stat().st_mode & 0o777


def test_an_image_is_preloaded_without_a_session(installed: Path) -> None:
    ended = answer(installed, f"images preload {installed}/image.tar")

    assert 0 == ended.code, ended
    assert [*(installed / "data/agent/images").iterdir()]


def test_what_needs_k3s_itself_still_names_the_session(installed: Path) -> None:
    ended = answer(installed, "images list")

    assert 5 == ended.code
    assert "has no session" in ended.err
