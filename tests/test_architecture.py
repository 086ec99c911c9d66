"""The architecture holds, and each of its rules fails when it is broken."""

from __future__ import annotations

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
    architecture.broken_size,
    architecture.broken_printing,
    architecture.broken_cycles,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule: Rule) -> None:
    assert [] == rule(ROOT)


@pytest.mark.parametrize(
    ("rule", "module", "line"),
    [
        (architecture.broken_owners, "service/systemd.py", "import dbus_next"),
        (architecture.broken_owners, "ports/exposure.py", "from pyroute2 import IPRoute"),
        (architecture.broken_owners, "preflight/probes.py", "def f():\n    import subprocess"),
        (
            architecture.broken_direction,
            "preflight/checks.py",
            "from k3s_rootless.service import unit",
        ),
        (architecture.broken_direction, "errors.py", "from k3s_rootless.preflight import facts"),
        (architecture.broken_direction, "ports/facts.py", "from k3s_rootless.cli import session"),
        (architecture.broken_roles, "ports/exposure.py", "from k3s_rootless.ports import sockets"),
        (
            architecture.broken_roles,
            "journal/reader.py",
            "from k3s_rootless.journal.diagnosis import first_cause",
        ),
        (architecture.broken_purity, "service/plan.py", "import os"),
        (architecture.broken_purity, "preflight/checks.py", "from pathlib import Path"),
        (architecture.broken_size, "paths.py", "\n" * 400 + "x = 1"),
        (architecture.broken_size, "paths.py", "def f():\n" + "    x = 1\n" * 70),
        (architecture.broken_printing, "service/apply.py", "print('done')"),
        (architecture.broken_cycles, "errors.py", "from k3s_rootless import command"),
    ],
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

    assert broken
    assert module.rsplit("/", maxsplit=1)[-1].removesuffix(".py") in broken[0]


def test_every_module_of_a_subject_has_a_role() -> None:
    """A new module cannot slip past the rules by being on no list."""
    exempt = {
        "__init__.py",
        "facts.py",
        "records.py",
        "apply.py",
        "archive.py",
        "erasure.py",
        "purge.py",
    }

    nameless = [
        module
        for module, _ in architecture.modules(ROOT)
        if module.split("/")[0] in architecture.SUBJECTS
        and module.split("/")[-1] not in exempt
        and module not in (*architecture.JUDGES, *architecture.READERS)
    ]

    assert [] == nameless


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["up", "--help"]])
def test_help_and_version_load_no_adapter(arguments: list[str]) -> None:
    """Their time is click's time."""
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
