"""Tests of the entry point `python -m k3s_rootless`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("arguments", [["--version"], ["status"], ["check", "host.kernel"]])
def test_the_working_directory_provides_no_modules(tmp_path: Path, arguments: list[str]) -> None:
    names = "__future__ atexit click concurrent json dataclasses logging pathlib shlex subprocess"
    for name in names.split():
        (tmp_path / f"{name}.py").write_text(f"print('loaded {name}')\nraise SystemExit(99)\n")
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "k3s_rootless", *arguments],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "loaded" not in done.stdout
    assert "Traceback" not in done.stderr
    assert 99 != done.returncode


def test_a_removed_working_directory_is_no_failure(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m k3s_rootless --version"

    done = subprocess.run(
        ["sh", "-c", code], env=dict(os.environ), capture_output=True, text=True, check=False
    )

    assert (0, "") == (done.returncode, done.stderr)
