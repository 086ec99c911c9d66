"""Tests that the package follows the architecture rules, and that each rule detects a violation."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import architecture

ROOT = Path(__file__).parent.parent
Rule = Callable[[Path], list[str]]
RULES: tuple[Rule, ...] = (
    architecture.broken_owners,
    architecture.broken_direction,
    architecture.broken_roles,
    architecture.broken_purity,
    architecture.broken_membership,
    architecture.broken_printing,
    architecture.broken_cycles,
    architecture.broken_laziness,
)
MOST_COMPLEX = 0.65
"""The limit of the percentage of functions with a cyclomatic complexity over 10."""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule: Rule) -> None:
    assert [] == rule(ROOT)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("rule", "module", "line"),
    [
        (architecture.broken_owners, "service/systemd/user.py", "import dbus_next"),
        (architecture.broken_owners, "ports/rules/exposure.py", "from pyroute2 import IPRoute"),
        (architecture.broken_owners, "preflight/probes/host.py", "def f():\n    import subprocess"),
        (
            architecture.broken_direction,
            "preflight/checks/network.py",
            "from k3s_rootless.service.unit import text",
        ),
        (architecture.broken_direction, "errors.py", "from k3s_rootless.preflight import facts"),
        (
            architecture.broken_direction,
            "ports/facts.py",
            "def f():\n    from k3s_rootless.operations import context as session",
        ),
        (
            architecture.broken_roles,
            "ports/rules/exposure.py",
            "from k3s_rootless.ports.sources import holders",
        ),
        (
            architecture.broken_roles,
            "service/observe/files.py",
            "from k3s_rootless.service.act import apply",
        ),
        (architecture.broken_purity, "service/plan/planner.py", "import os"),
        (architecture.broken_purity, "preflight/checks/kernel.py", "from pathlib import Path"),
        (architecture.broken_membership, "service/strays.py", "x = 1"),
        (architecture.broken_printing, "service/act/apply.py", "print('done')"),
        (architecture.broken_cycles, "errors.py", "from k3s_rootless import command"),
        (
            architecture.broken_cycles,
            "operations/readiness/phases.py",
            "def f():\n    from k3s_rootless.operations.readiness import traces",
        ),
        (
            architecture.broken_laziness,
            "operations/rotation.py",
            "def f():\n    import json",
        ),
    ],
    ids=lambda value: value.split("\n")[0] if isinstance(value, str) else value.__name__,
)
def test_the_rule_fails_when_it_is_broken(
    rule: Rule, module: str, line: str, tmp_path: Path
) -> None:
    tree = tmp_path / architecture.PACKAGE
    shutil.copytree(
        ROOT / architecture.PACKAGE, tree, ignore=shutil.ignore_patterns("__pycache__", "units")
    )
    with (tree / module).open("a") as file:
        file.write(f"\n{line}\n")

    broken = rule(tmp_path)

    assert any(module.rsplit("/", maxsplit=1)[-1].removesuffix(".py") in one for one in broken)


def test_few_functions_are_complex() -> None:
    assert architecture.complex_share(ROOT) < MOST_COMPLEX


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["up", "--help"]])
def test_help_and_version_load_no_adapter(arguments: list[str]) -> None:
    """Loading an adapter would slow down these two commands."""
    heavy = {
        "asyncio",
        "dbus_next",
        "pydantic",
        "jinja2",
        "pyroute2",
        "rich",
        "yaml",
        "http.client",
        "json",
        "importlib.metadata",
    }
    code = (
        "import sys\nfrom k3s_rootless.cli import shell\n"
        f"try: shell({arguments!r})\nexcept SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    )

    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert set() == heavy & set(run.stderr.split())


def test_the_page_lists_the_folders_of_the_tree() -> None:
    page = (ROOT / "docs/explanation/architecture.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `([a-z_0-9/]+)/` \|", page, re.MULTILINE))
    subjects = {f"{name}" for name in architecture.SUBJECTS}
    folders = {module.rpartition("/")[0] for module, _ in architecture.modules(ROOT)} - {""}
    divided = {one for one in subjects if any(other.startswith(f"{one}/") for other in folders)}

    # The folder of a subject that is divided into roles holds only its records.
    assert folders - divided <= listed
    assert listed <= folders
