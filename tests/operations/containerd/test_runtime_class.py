"""Tests that the missing RuntimeClass is written where K3s applies it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from k3s_rootless import yaml_file
from k3s_rootless.errors import UsageError, WouldOverwrite
from k3s_rootless.operations.containerd import document, runtime_class
from k3s_rootless.operations.context import Context
from tests.fakes.session import Session
from tests.operations import unit


@pytest.fixture
def path(bus: Session, home: Path) -> Path:
    return unit.write(bus, home) / "server/manifests/k3s-rootless-runtime-nvidia-cdi.yaml"


def test_the_manifest_is_a_runtime_class(context: Context, path: Path) -> None:
    shown = runtime_class.write(context, "nvidia-cdi", dry_run=True)
    assert not path.exists()

    written = runtime_class.write(context, "nvidia-cdi", dry_run=False)

    assert (path, True) == (written.path, written.changed)
    assert shown.manifest == path.read_text()
    found = yaml_file.load(path.read_bytes(), 9)
    assert ("RuntimeClass", "nvidia-cdi") == (found["kind"], found["handler"])
    assert json.dumps(document.of_written(written))
    assert not runtime_class.write(context, "nvidia-cdi", dry_run=False).changed


def test_an_edited_manifest_is_kept(context: Context, path: Path) -> None:
    runtime_class.write(context, "nvidia-cdi", dry_run=False)
    path.write_text("edited\n")

    with pytest.raises(WouldOverwrite, match="it was edited"):
        runtime_class.write(context, "nvidia-cdi", dry_run=False)

    assert "edited\n" == path.read_text()


@pytest.mark.parametrize(
    ("name", "words"),
    [("nvidia", "K3s creates it itself"), ("runsc", "K3s does not know this runtime")],
)
def test_other_runtimes_are_refused(context: Context, path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        runtime_class.write(context, name, dry_run=False)

    assert not path.parent.exists()
