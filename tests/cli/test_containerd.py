"""Tests that `containerd edit` puts a drop-in in place only if it is valid, with real editors."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import USER
from tests.cli.tool import Tool
from tests.fakes.session import Session

pytestmark = pytest.mark.thorough

GOOD = "$a[debug]\\nlevel = 'info'"
BAD = "$a[debug"


class Editing(Tool):
    """The tool, with the editors of its user."""

    @property
    def place(self) -> Path:
        return self.data / "agent/etc/containerd"

    def edit(self, *editor: str, name: str = "user", code: int = 0) -> tuple[Any, str]:
        """Run `containerd edit --json` with an editor; return the document and stderr."""
        words = " ".join(f'"{word}"' for word in editor)
        more = {"VISUAL": words, "TMPDIR": str(self.home / "runtime")}
        done = self.run("containerd", "edit", name, "--json", code=code, more=more)
        return json.loads(done.stdout), done.stderr

    def left(self) -> list[str]:
        """Return the texts that were kept for the user."""
        return [path.read_text() for path in (self.home / "runtime").glob("k3s-rootless-*/*")]


@pytest.fixture
def tool(home: Path, bus: Session) -> Editing:
    found = Editing(home, bus)
    found.install()
    return found


def test_a_new_drop_in_is_put_in_place(tool: Editing) -> None:
    found, _ = tool.edit("sed", "-i", GOOD)

    path = tool.place / "config-v3.toml.d/user.toml"
    assert (str(path), True) == (found["path"], found["changed"])
    assert path.read_text().endswith("version = 3\n\n[debug]\nlevel = 'info'\n")
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    assert [] == tool.left()


def test_a_text_that_is_not_valid_is_kept_for_the_user(tool: Editing) -> None:
    found, err = tool.edit("sed", "-i", BAD, code=1)

    assert "it is not valid TOML" in found["errors"][0]["message"]
    assert "nothing was changed; your text is kept in " in found["errors"][0]["hint"]
    assert "error: line " in err
    assert not (tool.place / "config-v3.toml.d").exists()
    assert 1 == len(tool.left())
    assert tool.left()[0].endswith("[debug\n")


def test_the_cgroup_driver_of_systemd_is_refused(tool: Editing) -> None:
    found, _ = tool.edit("sed", "-i", "$a[a]\\nSystemdCgroup = true", code=1)

    assert "SystemdCgroup is true: pods cannot start" in found["errors"][0]["message"]


def test_an_unchanged_text_changes_nothing(tool: Editing) -> None:
    found, _ = tool.edit("true")

    assert not found["changed"]
    assert not tool.place.exists()
    assert [] == tool.left()


def test_what_an_editor_leaves_beside_the_text_is_removed(tool: Editing) -> None:
    script = "mkdir ${1%/*}/.states && echo \\# >> $1 && cp $1 ${1%/*}/.states/user"

    found, _ = tool.edit("sh", "-c", script, "sh")

    assert found["changed"]
    assert [] == list((tool.home / "runtime").glob("k3s-rootless-containerd-*"))


def test_an_empty_text_removes_the_drop_in(tool: Editing) -> None:
    assert not tool.edit("truncate", "-s", "0")[0]["changed"]
    tool.edit("sed", "-i", GOOD, name="mine.toml")

    found, _ = tool.edit("truncate", "-s", "0", name="mine")

    assert found["removed"]
    assert [] == [path.name for path in (tool.place / "config-v3.toml.d").iterdir()]


def test_a_drop_in_that_another_program_changed_is_kept(tool: Editing) -> None:
    tool.edit("sed", "-i", GOOD)
    path = tool.place / "config-v3.toml.d/user.toml"
    script = f"echo '# mine' >> $1; echo '# other' >> {path}"

    found, _ = tool.edit("sh", "-c", script, "sh", code=7)

    assert "another program changed it meanwhile" in found["errors"][0]["message"]
    assert path.read_text().endswith("# other\n")
    assert tool.left()[0].endswith("# mine\n")


@pytest.mark.parametrize(
    ("editor", "words"),
    [
        (("false",), "the editor `false` ended with status 1"),
        (("no-such-editor",), "the editor `no-such-editor` ended with status 127"),
        (("rm",), "nothing to do"),
    ],
)
def test_an_editor_that_fails_changes_nothing(
    tool: Editing, editor: tuple[str, ...], words: str
) -> None:
    code = 0 if words == "nothing to do" else 1
    found, _ = tool.edit(*editor, code=code)

    assert code == 0 or words in found["errors"][0]["message"]
    assert not tool.place.exists()


@pytest.mark.parametrize("name", ["../a", "a/b", ".hidden", "", "a b"])
def test_a_name_that_is_no_file_name_is_refused(tool: Editing, name: str) -> None:
    found, _ = tool.edit("sed", "-i", GOOD, name=name, code=2)

    assert "is not a name of a drop-in" in found["errors"][0]["message"]


def test_a_drop_in_of_another_user_is_refused(tool: Editing) -> None:
    tool.edit("sed", "-i", GOOD)
    path = tool.place / "config-v3.toml.d/user.toml"
    path.chmod(0o644)
    os.chown(path, 12345, 12345)

    assert (
        "it belongs to uid 12345"
        in (tool.edit("sed", "-i", GOOD, code=5)[0]["errors"][0]["message"])
    )


@pytest.mark.skipif(shutil.which("containerd") is None, reason="containerd is not installed")
def test_containerd_refuses_what_is_valid_toml(tool: Editing) -> None:
    bin_ = tool.data / "data/abc/bin"
    bin_.mkdir(parents=True)
    (bin_ / "containerd").symlink_to(str(shutil.which("containerd")))
    (bin_.parents[1] / "current").symlink_to(bin_.parent)
    tool.place.mkdir(parents=True)
    (tool.place / "config.toml.tmpl").write_text('{{ template "base" . }}\n')
    for path in tool.data.rglob("*"):
        os.chown(path, USER, USER, follow_symlinks=False)

    found, _ = tool.edit("sed", "-i", "$aroot = 1", code=1)

    assert "cannot use the new text of" in found["errors"][0]["message"]
    accepted, _ = tool.edit("sed", "-i", GOOD)
    assert accepted["path"].endswith("config.toml.d/user.toml")
    assert accepted["validated"]
