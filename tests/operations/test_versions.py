"""Tests that the versions of K3s and of systemd are read if they are available."""

from __future__ import annotations

from pathlib import Path

import pytest

from k3s_rootless import __version__
from k3s_rootless.cli.display import version
from k3s_rootless.cli.display.report import Report
from k3s_rootless.operations import versions
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.versions import Versions
from k3s_rootless.paths import Paths

NOTHING = Versions(None, None, None)
KNOWN = Versions("v1.33.4+k3s1", "/usr/local/bin/k3s", "257.13-1~deb13u1")


def test_k3s_is_run_and_a_missing_user_manager_is_no_error(tmp_path: Path) -> None:
    k3s = tmp_path / "k3s"
    k3s.write_text("#!/bin/sh\necho 'k3s version v1.33.4+k3s1 (0123abcd)'\n")
    k3s.chmod(0o755)
    paths = Paths(tmp_path, tmp_path, tmp_path / "run", tmp_path)

    found = versions.read(Context(paths, {"PATH": str(tmp_path)}, 1000, "alice"))

    assert Versions("v1.33.4+k3s1", str(k3s), None) == found


@pytest.mark.parametrize("found", [NOTHING, KNOWN])
def test_the_document_contains_the_versions(found: Versions) -> None:
    assert {
        "k3s_rootless": __version__,
        "k3s": found.k3s,
        "k3s_path": found.k3s_path,
        "systemd": found.systemd,
        "errors": [],
    } == versions.document(found)


@pytest.mark.parametrize(
    ("found", "k3s", "systemd"),
    [
        (NOTHING, "unknown (k3s was not found)", "unknown (the user manager does not answer)"),
        (KNOWN, "v1.33.4+k3s1 (/usr/local/bin/k3s)", "257.13-1~deb13u1"),
    ],
)
def test_the_text(
    capsys: pytest.CaptureFixture[str], found: Versions, k3s: str, systemd: str
) -> None:
    version.show(Report(), found)

    assert [
        f"k3s-rootless {__version__}",
        f"k3s          {k3s}",
        f"systemd      {systemd}",
    ] == capsys.readouterr().out.splitlines()
