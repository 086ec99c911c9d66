"""Tests that every kind of installation has the units: wheel, sdist, editable, checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.payload import UV

ROOT = Path(__file__).parent.parent
RENDER = """
import k3s_rootless, pathlib
from k3s_rootless.service.unit import text as unit
from k3s_rootless.service.facts import UnitSettings
settings = UnitSettings("v1.33.4+k3s1", "server --rootless", "/usr/local/bin/k3s", "/usr/bin")
text = unit.render(settings)
assert "Delegate=yes" in text
print(pathlib.Path(k3s_rootless.__file__).resolve())
"""
pytestmark = [pytest.mark.install, pytest.mark.timeout(300)]


def run(*command: str | Path, cwd: Path, libraries: bool = False) -> str:
    """Run a command with a minimal environment.

    `libraries` adds the dependencies of this test run, without the project.
    """
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    if libraries:
        environment["PYTHONPATH"] = str(lent(cwd))
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.strip()


def lent(place: Path) -> Path:
    """Link the dependencies into a separate folder, without the editable install of the project."""
    folder = place / "lent"
    if not folder.exists():
        folder.mkdir()
        for found in Path(sysconfig.get_path("purelib")).iterdir():
            if "k3s_rootless" not in found.name and found.suffix != ".pth":
                (folder / found.name).symlink_to(found)
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the sdist, and the wheel from the sdist."""
    place = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--quiet", "--out-dir", place, ROOT, cwd=place)
    return place


@pytest.mark.parametrize("kind", ["wheel", "sdist", "editable"])
def test_an_installation_renders_the_unit(kind: str, built: Path, tmp_path: Path) -> None:
    source = {
        "wheel": next(built.glob("*.whl")),
        "sdist": next(built.glob("*.tar.gz")),
        "editable": ROOT,
    }[kind]
    run(UV, "venv", "--quiet", "--python", sys.executable, "env", cwd=tmp_path)
    python = tmp_path / "env/bin/python"
    editable = ["--editable"] if kind == "editable" else []
    run(
        UV,
        "pip",
        "install",
        "--quiet",
        "--python",
        python,
        "--no-deps",
        *editable,
        source,
        cwd=tmp_path,
    )

    where = run(python, "-c", RENDER, cwd=tmp_path, libraries=True)
    version = run(tmp_path / "env/bin/k3s-rootless", "--version", cwd=tmp_path, libraries=True)

    assert (kind == "editable") == where.startswith(str(ROOT / "k3s_rootless"))
    assert version.startswith("k3s-rootless 0.")


def test_a_plain_checkout_renders_the_unit(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    run("git", "clone", "--quiet", ROOT, checkout, cwd=tmp_path)

    where = run(
        sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, '.'){RENDER}", cwd=checkout
    )

    assert where.startswith(str(checkout))


def test_the_archives_hold_all_templates_and_no_tests(built: Path) -> None:
    wheel = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        source = ["/".join(name.split("/")[1:]) for name in sdist.getnames()]

    templates = {
        "k3s_rootless/units/k3s-rootless.service.j2",
        "k3s_rootless/units/administrator.sh.j2",
        "k3s_rootless/templates/page.html.j2",
    }
    assert set() == templates - set(wheel)
    assert set() == templates - set(source)
    assert "LICENSE" in source
    assert not [name for name in (*wheel, *source) if name.startswith("tests")]
