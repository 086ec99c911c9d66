"""Tests that `registries set` takes passwords from standard input only, in a process of its own."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.cli.tool import Tool
from tests.fakes.session import PROJECT, Session

pytestmark = pytest.mark.thorough

SECRET = "not-to-be-shown"  # noqa: S105 (a value that no answer may contain)
SET = ("set", "r.example:5000")


class Registries(Tool):
    """The tool, for the commands of `registries`."""

    @property
    def file(self) -> Path:
        return self.data / "etc/rancher/k3s/registries.yaml"

    def __call__(self, *words: str, text: str = "", code: int = 0) -> str:
        """Run `registries words`; return its output."""
        done = self.run("registries", *words, code=code, stdin=text)
        assert SECRET not in done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def tool(home: Path, bus: Session) -> Registries:
    found = Registries(home, bus)
    found.install()
    return found


def test_a_password_is_read_from_standard_input(tool: Registries) -> None:
    printed = tool(*SET, "--username", "alice", "--password-stdin", text=f"{SECRET}\n")

    assert "configs → r.example:5000 → auth → password: ********" in printed
    assert f"password: {SECRET}\n" in tool.file.read_text()
    assert 0o600 == stat.S_IMODE(tool.file.stat().st_mode)
    assert "alice, password hidden" in tool("show")
    assert "K3s is not running, so no registry was requested" in tool("check", code=3)


@pytest.mark.parametrize(
    ("words", "text", "reason"),
    [
        (("--username", "alice"), SECRET, "the password is missing"),
        (("--password-stdin",), SECRET, "the user name is missing"),
        (("--username", "alice", "--password-stdin"), "", "standard input is empty"),
        (("--username", "a", "--password-stdin"), f"{SECRET}\nb", "more than one line"),
        (("--endpoint", "ftp://b"), "", "its scheme is neither http nor https"),
        (("--ca-file", "/no/such"), "", "is not a readable file"),
        ((), "", "no setting is given"),
    ],
)
def test_missing_and_wrong_values_change_nothing(
    tool: Registries, words: tuple[str, ...], text: str, reason: str
) -> None:
    assert reason in tool(*SET, *words, text=text, code=2)
    assert not tool.file.exists()


def test_a_relative_path_becomes_an_absolute_one(tool: Registries) -> None:
    tool(*SET, "--ca-file", "README.md")

    assert f"ca_file: {PROJECT}/README.md\n" in tool.file.read_text()


def test_what_k3s_ignores_is_named_with_its_line(tool: Registries) -> None:
    tool(*SET, "--endpoint", "https://m.example")
    with tool.file.open("a") as file:
        file.write("mirors: {}\n")

    assert "warning: line 5: K3s ignores the unknown key `mirors`" in tool("show")
    assert "line 5" in tool("check", code=1)
    tool.file.write_text(f"configs: [{SECRET}]\n")
    assert "error, K3s does not become ready: line 1: `configs` must be" in tool("show", code=1)
    assert "line 1: `configs` must be a mapping" in tool("remove", "r.example", code=1)
