"""Tests that `env set` and `unset` are atomic with a fake user manager, whatever the bus does."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless import schemas
from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import PROJECT, Session, as_user
from tests.patience import PATIENCE

pytestmark = pytest.mark.thorough

UNIT = "k3s-rootless.service"
OURS = "50-k3s-rootless-environment.conf"


@dataclass(frozen=True)
class Tool:
    """The tool, as the user of a fake user manager runs it."""

    home: Path
    bus: Session

    @property
    def directory(self) -> Path:
        return self.bus.units / f"{UNIT}.d"

    def start(
        self,
        *words: str | bytes,
        stdin: int | None = subprocess.DEVNULL,
        module: str = "k3s_rootless",
    ) -> subprocess.Popen[str]:
        command = [*as_user(USER), sys.executable, "-m", module, "env", *words]
        environ = environment(self.home, self.bus.runtime)
        return subprocess.Popen(
            command,
            cwd=PROJECT,
            env=environ,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def given(self, text: str, *words: str) -> tuple[int, str, str]:
        """Run `env words` with a text on standard input; return exit code, stdout and stderr."""
        with self.start(*words, stdin=subprocess.PIPE) as running:
            out, err = running.communicate(text, timeout=60)
        assert "Traceback" not in err, err
        return running.returncode, out, err

    def __call__(self, *words: str | bytes, code: int = 0) -> str:
        """Run `env words`; return its stderr."""
        with self.start(*words) as running:
            out, err = running.communicate(timeout=PATIENCE)
        assert "Traceback" not in err, err
        assert code == running.returncode, (out, err)
        return err

    def json(self, *words: str, code: int = 0) -> Any:
        with self.start(*words, "--json") as running:
            out, err = running.communicate(timeout=PATIENCE)
        assert code == running.returncode, (out, err)
        document = json.loads(out)
        assert schemas.name(f"env-{words[0]}") == document["schema"]
        return document

    def files(self) -> dict[str, str]:
        return (
            {path.name: path.read_text() for path in self.directory.iterdir()}
            if self.directory.exists()
            else {}
        )

    def revive(self) -> None:
        """Start the user manager again, without orders."""
        assert self.bus.manager is not None
        self.bus.manager.wait(PATIENCE)
        self.bus.order()
        (self.bus.directory / "ready").unlink()
        self.bus.start_manager()


@pytest.fixture
def tool(home: Path, bus: Session) -> Tool:
    """Return a tool with an installed unit."""
    (bus.directory / "user").symlink_to("units")
    (bus.units / UNIT).write_text("[Service]\nExecStart=/usr/local/bin/k3s server --rootless\n")
    bus.order()
    return Tool(home, bus)


def test_a_set_variable_is_read_back_and_an_unset_one_leaves_no_file(tool: Tool) -> None:
    document = tool.json("set", "K3S_ROOTLESS_MTU=1400", "NO_PROXY=10.0.0.0/8")

    assert (True, True, False) == (document["changed"], document["verified"], document["runtime"])
    assert [None, None] == [row["shadowed_by"] for row in document["variables"]]
    assert 0o600 == stat.S_IMODE((tool.directory / OURS).stat().st_mode)
    assert "1400" == tool.json("get", "K3S_ROOTLESS_MTU")["value"]
    assert not tool.json("set", "K3S_ROOTLESS_MTU=1400")["changed"], (
        "the same value changes nothing"
    )
    assert tool.json("set", "K3S_ROOTLESS_MTU=1300")["changed"]
    assert "10.0.0.0/8" == tool.json("get", "NO_PROXY")["value"], "the other variable is unchanged"

    assert tool.json("unset", "K3S_ROOTLESS_MTU", "NO_PROXY")["changed"]
    assert not list(tool.directory.glob("*"))
    assert not tool.json("unset", "K3S_ROOTLESS_MTU")["changed"]
    assert 3 == [call[0] for call in tool.bus.calls()].count("Reload")


def test_a_variable_is_stored_before_the_unit_is_installed(tool: Tool) -> None:
    (tool.bus.units / UNIT).unlink()

    document = tool.json("set", "K3S_ROOTLESS_CIDR=10.99.0.0/16")

    assert (True, False) == (document["changed"], document["verified"]), (
        "no unit exists to read it back from"
    )
    assert "drop-in" == tool.json("get", "K3S_ROOTLESS_CIDR")["origin"]


PROXY = "http://bob:secret-1@proxy:3128"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_password_is_read_from_standard_input(tool: Tool, end: str) -> None:
    code, out, err = tool.given(
        PROXY + end, "set", "--stdin", "HTTPS_PROXY", "K3S_ROOTLESS_MTU=1400"
    )

    assert (0, False) == (code, "warning" in err), err
    assert "secret-1" not in out + err
    row = tool.json("get", "--reveal", "HTTPS_PROXY")
    assert (PROXY, False) == (row["value"], row["redacted"])
    assert "http://bob:***@proxy:3128" == tool.json("get", "HTTPS_PROXY")["value"]
    assert "1400" == tool.json("get", "K3S_ROOTLESS_MTU")["value"]


@pytest.mark.parametrize("value", [PROXY, "bob:secret-1@proxy:3128", "secret-1@proxy"])
def test_a_password_in_the_command_line_is_set_with_a_warning(tool: Tool, value: str) -> None:
    err = tool("set", f"HTTPS_PROXY={value}")

    assert "warning: other users of this host can read the password of HTTPS_PROXY" in err
    assert "env set --stdin HTTPS_PROXY" in err
    assert "secret-1" not in err
    assert value == tool.json("get", "--reveal", "HTTPS_PROXY")["value"]
    assert "warning: other users" not in tool("set", "HTTP_PROXY=http://proxy:3128")


@pytest.mark.parametrize(
    ("text", "words", "reason"),
    [
        ("", ["HTTPS_PROXY"], "standard input is empty"),
        ("a\nb\n", ["HTTPS_PROXY"], "more than one line"),
        (
            "x",
            ["HTTPS_PROXY", "HTTP_PROXY"],
            "several variables have no value: HTTPS_PROXY, HTTP_PROXY",
        ),
        ("x", ["HTTPS_PROXY=y"], "every variable has a value"),
        (
            "x" * 140_000,
            ["HTTPS_PROXY"],
            "Linux cannot start a program with a variable of more than",
        ),
        ("x\0y", ["HTTPS_PROXY"], "NUL"),
        ("x", ["HTTPSPROXY"], "cannot set `HTTPSPROXY`"),
    ],
    ids=["empty", "two lines", "two names", "no name", "too long", "NUL", "unknown"],
)
def test_a_value_that_standard_input_cannot_set_is_refused(
    tool: Tool, text: str, words: list[str], reason: str
) -> None:
    code, _, err = tool.given(text, "set", "--stdin", *words)

    assert (2, True) == (code, reason in err), err
    assert {} == tool.files()


def test_an_address_without_a_name_is_refused_and_its_password_not_printed(tool: Tool) -> None:
    err = tool("set", "HTTPS_PROXY", "http://bob:secret-1@proxy:3128", code=2)

    assert "secret-1" not in err


REFUSED: tuple[tuple[list[str | bytes], str], ...] = (
    (["K3S_ROOTLESS_MTU=1400", "K3S_ROOTLESS_CIDR=10.99.0.1/16"], "its network is 10.99.0.0/16"),
    (
        ["K3S_ROOTLESS_MTU=1400", "K3S_ROOTLESS_PORTDRIVER=x"],
        "did you mean K3S_ROOTLESS_PORT_DRIVER?",
    ),
    (["_K3S_ROOTLESS_SOCK=/x"], "K3s does not start"),
    (["K3S_ROOTLESS_MTU"], "the value is missing"),
    (["K3S_ROOTLESS_MTU=1", "K3S_ROOTLESS_MTU=2"], "two different values"),
    (["NO_PROXY=a\ufffeb"], "U+FFFE"),
    ([b"NO_PROXY=a\xffb"], "not valid UTF-8"),
)


def test_an_invalid_value_is_refused_before_anything_is_written(tool: Tool) -> None:
    running = [
        (tool.start("set", *how, *words), reason)
        for words, reason in REFUSED
        for how in ([], ["--runtime"])
    ]
    for one, reason in running:
        with one:
            _, err = one.communicate(timeout=PATIENCE)
        assert 2 == one.returncode, err
        assert reason in err
        assert "\nhint: " in err
    assert {} == tool.files()
    assert not {"Reload", "UnsetAndSetEnvironment"} & {call[0] for call in tool.bus.calls()}


@pytest.mark.parametrize("dangling", [False, True], ids=["a link to a file", "a link to nothing"])
def test_a_link_that_force_replaced_is_a_link_again_when_the_change_is_undone(
    tool: Tool, *, dangling: bool
) -> None:
    tool("set", "K3S_ROOTLESS_MTU=1400")
    path = tool.directory / OURS
    elsewhere = tool.directory / "elsewhere"
    path.rename(elsewhere)
    if dangling:
        elsewhere.unlink()
    path.symlink_to("elsewhere")
    before = sorted(one.name for one in tool.directory.iterdir())
    tool.bus.order(deaf=True)

    err = tool("set", "K3S_ROOTLESS_MTU=1300", "--force", code=1)

    assert "the change was undone: the drop-ins are as before" in err
    assert "elsewhere" == str(path.readlink())
    assert before == sorted(one.name for one in tool.directory.iterdir()), (
        "the copy that --force made is gone too"
    )


def test_a_change_that_systemd_does_not_apply_is_undone(tool: Tool) -> None:
    tool("set", "K3S_ROOTLESS_MTU=1400")
    before = tool.files()
    tool.bus.order(deaf=True)

    err = tool("set", "K3S_ROOTLESS_MTU=1300", code=1)
    assert "systemd did not apply the change" in err
    assert "the change was undone: the drop-ins are as before" in err
    assert before == tool.files()

    assert "it still sets K3S_ROOTLESS_MTU" in tool("unset", "K3S_ROOTLESS_MTU", code=1)
    assert before == tool.files()
    assert "did not accept K3S_ROOTLESS_CIDR" in tool(
        "set", "--runtime", "K3S_ROOTLESS_CIDR=10.99.0.0/16", code=1
    )


def test_a_later_drop_in_is_reported_and_the_change_undone(tool: Tool) -> None:
    if tool.directory.exists():
        tool.directory.rmdir()
    tool.directory.mkdir()
    os.chown(tool.directory, USER, USER)
    (tool.directory / "override.conf").write_text("[Service]\nEnvironment=K3S_ROOTLESS_MTU=1\n")

    err = tool("set", "K3S_ROOTLESS_MTU=1400", code=1)

    assert f"systemd did not apply the change: {tool.bus.directory}" in err
    assert "override.conf also sets K3S_ROOTLESS_MTU, and is read later" in err
    assert ["override.conf"] == list(tool.files())
    assert "1" == tool.json("get", "K3S_ROOTLESS_MTU")["value"]
    assert "still set by drop-in" in tool("unset", "K3S_ROOTLESS_MTU")


def test_an_edited_drop_in_stays_without_force(tool: Tool) -> None:
    tool("set", "K3S_ROOTLESS_MTU=1400")
    ours = tool.directory / OURS
    edited = ours.read_text() + 'Environment="NO_PROXY=a"\n'
    ours.write_text(edited)

    assert "edited since" in tool("set", "K3S_ROOTLESS_CIDR=10.99.0.0/16", code=7)
    assert "edited since" in tool("unset", "K3S_ROOTLESS_MTU", code=7)
    assert {OURS: edited} == tool.files()
    tool("set", "--force", "K3S_ROOTLESS_CIDR=10.99.0.0/16")
    kept = [text for name, text in tool.files().items() if name != OURS]
    assert kept == [edited]
    assert "a" == tool.json("get", "NO_PROXY")["value"], (
        "a variable that was added to the file is kept"
    )
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in tool.directory.iterdir()}


def test_a_password_is_shown_only_with_reveal(tool: Tool) -> None:
    printed = tool("set", "HTTP_PROXY=http://user:sesame@proxy:3128")
    shown = [
        tool.json(*words)
        for words in (
            ["list"],
            ["get", "HTTP_PROXY"],
            ["set", "HTTP_PROXY=http://user:sesame@proxy:3128"],
        )
    ]

    assert "sesame" not in printed + json.dumps(shown)
    assert "http://user:sesame@proxy:3128" == tool.json("get", "HTTP_PROXY", "--reveal")["value"]


def test_runtime_sets_and_unsets_variables_of_the_manager(tool: Tool) -> None:
    tool("set", "K3S_ROOTLESS_MTU=1400")

    document = tool.json("set", "--runtime", "K3S_ROOTLESS_MTU=1300", "NO_PROXY=a")
    assert document["file"] is None
    assert [True, False] == [bool(row["shadowed_by"]) for row in document["variables"]]
    assert "manager" == tool.json("get", "NO_PROXY")["origin"]
    assert not tool.json("set", "--runtime", "NO_PROXY=a")["changed"]

    tool("unset", "K3S_ROOTLESS_MTU")
    assert "1300" == tool.json("get", "K3S_ROOTLESS_MTU")["value"]
    assert tool.json("unset", "--runtime", "K3S_ROOTLESS_MTU", "NO_PROXY")["changed"]
    assert not tool.json("get", "K3S_ROOTLESS_MTU")["set"]


def test_the_next_run_completes_one_that_was_killed_before_the_reload(tool: Tool) -> None:
    """A file in a new directory goes unnoticed by systemd 247 and 252, and by the fake.

    The next run therefore checks the file itself.
    """
    tool("set", "K3S_ROOTLESS_MTU=1400")
    text = tool.files()[OURS]
    tool("unset", "K3S_ROOTLESS_MTU")
    if tool.directory.exists():
        tool.directory.rmdir()
    tool.directory.mkdir()
    os.chown(tool.directory, USER, USER)
    (tool.directory / OURS).write_text(text)
    os.chown(tool.directory / OURS, USER, USER)
    (tool.directory / OURS).chmod(0o600)
    assert not tool.json("get", "K3S_ROOTLESS_MTU")["set"]

    assert tool.json("set", "K3S_ROOTLESS_MTU=1400")["verified"]
    assert "1400" == tool.json("get", "K3S_ROOTLESS_MTU")["value"]


@pytest.mark.parametrize("runtime", [[], ["--runtime"]])
def test_a_manager_that_exits_at_any_call_leaves_no_file(tool: Tool, runtime: list[str]) -> None:
    codes: list[int] = []
    while not codes or codes[-1]:
        tool.bus.order(exit_at_call=len(codes) + 1)
        words = ("set", *runtime, "K3S_ROOTLESS_MTU=1400")
        with tool.start(*words, module="tests.fakes.impatient") as running:
            _, err = running.communicate(timeout=PATIENCE)
        codes.append(running.returncode)
        assert "Traceback" not in err
        if codes[-1]:
            assert "error: " in err
            assert {} == tool.files(), (codes, err)
            tool.revive()

    tool.bus.order()
    assert {1} == set(codes[:-1])
    assert len(codes) > 4, "the manager exited at several calls"
    assert "1400" == tool.json("get", "K3S_ROOTLESS_MTU")["value"]
