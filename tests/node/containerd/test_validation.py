"""Tests of validation by a real containerd, and of the messages of K3s's containerd 2.3."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from k3s_rootless.errors import CommandFailed
from k3s_rootless.node.containerd import validation
from k3s_rootless.node.containerd.facts import Message

RECORDED = """\
time="2026-11-27T23:49:11Z" level=warning msg="Configuration migrated from version 3, use \
`containerd config migrate` to avoid migration" t="9.32µs"
"""
PLUGIN = "io.containerd.cri.v1.runtime"


@pytest.fixture(scope="module")
def program() -> Path:
    """Return Debian's containerd, or that of K3s if K3S_CONTAINERD names one."""
    found = os.environ.get("K3S_CONTAINERD") or shutil.which("containerd")
    if found is None:
        pytest.skip("containerd is not installed")
    return Path(found)


def drop_in(tmp_path: Path, text: str) -> Path:
    path = tmp_path / 'a "drop\\in".toml'
    path.write_text(text)
    return path


def test_a_valid_drop_in_has_no_message(program: Path, tmp_path: Path) -> None:
    text = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nenable_selinux = false\n'

    assert () == validation.of_drop_in(program, drop_in(tmp_path, text), 2, os.environ)


def test_a_syntax_error_is_named_with_its_line(program: Path, tmp_path: Path) -> None:
    path = drop_in(tmp_path, 'version = 2\n[plugins."x"\n')

    found = validation.of_drop_in(program, path, 2, os.environ)

    assert [(path, 2, True)] == [(one.path, one.row, one.fatal) for one in found]


def test_a_value_of_another_type_is_named(program: Path, tmp_path: Path) -> None:
    text = 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nenable_selinux = "yes"\n'

    found = validation.of_drop_in(program, drop_in(tmp_path, text), 2, os.environ)

    assert [True] == [one.fatal for one in found]
    assert "bool" in found[0].text


def test_a_program_that_fails_otherwise_is_an_error(tmp_path: Path) -> None:
    program = tmp_path / "containerd"
    program.write_text("#!/bin/sh\necho 'illegal instruction' >&2\nexit 1\n")
    program.chmod(0o755)

    with pytest.raises(CommandFailed, match="failed with status 1: illegal instruction"):
        validation.of_file(program, tmp_path / "config.toml", os.environ)


_SYNTAX = (
    'time="T" level=error msg="Failure unmarshaling TOML" column=40'
    ' error="toml: expected character ]" file=/d/a.toml row=2\n'
    "containerd: failed to unmarshal TOML at row 2 column 40: toml: expected character ]\n"
)
_TYPE = (
    "toml: cannot decode TOML string into struct field config.RuntimeConfig.EnableSelinux of type"
    " bool"
)
_KEY = (
    'time="T" level=warning msg="Ignoring unknown key in TOML" column=1'
    ' error="strict mode: fields" file="/d/a b.toml" key=nope row=2\n'
)
_PLUGIN_KEY = (
    'time="T" level=warning msg="Ignoring unknown key in TOML for plugin" error="strict"'
    f" key=no_such plugin={PLUGIN}\n"
)
_VERSION = "drop-in config version 4 higher than root config version 3"
_OLD = "containerd: failed to load TOML: /d/a.toml: (2, 2): unexpected token\n"
_IGNORES = "containerd ignores the unknown key"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", []),
        (_SYNTAX, [Message("toml: expected character ]", Path("/d/a.toml"), 2, fatal=True)]),
        (f"containerd: {_TYPE}\n", [Message(_TYPE, fatal=True)]),
        (_KEY, [Message(f"{_IGNORES} `nope`", Path("/d/a b.toml"), 2)]),
        (_PLUGIN_KEY, [Message(f"{_IGNORES} `no_such` of the plugin {PLUGIN}")]),
        (f"containerd: {_VERSION}\n", [Message(_VERSION, fatal=True)]),
        (_OLD, [Message("unexpected token", Path("/d/a.toml"), 2, fatal=True)]),
    ],
)
def test_the_messages_of_containerd(lines: str, expected: list[Message]) -> None:
    """Recorded from K3s v1.36.3 (containerd 2.3), the last one from containerd 1.6."""
    assert expected == list(validation.messages(RECORDED + lines))


def test_a_text_without_containerd_is_checked_as_toml() -> None:
    found = validation.of_text(None, "a = 1\nb = [\n", 3, {})

    assert [True] == [one.fatal for one in found]
    assert "it is not valid TOML" in found[0].text
    assert () == validation.of_text(None, "a = 1\n", 3, {})
