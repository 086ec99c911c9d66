"""Tests that another user cannot make the tool run a program.

No process can make the tool print control sequences.
"""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from k3s_rootless import command, trust
from k3s_rootless.cli.display import stream
from k3s_rootless.errors import CommandFailed
from k3s_rootless.journal import lines
from k3s_rootless.journal.sources import exported, journald
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import logs
from k3s_rootless.preflight.probes import host
from tests.fakes.session import PROJECT

ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
OTHER = 65534
ANSWER = "echo 'k3s version v1.33.4+k3s1 (148243c4)'; echo 'go version go1.24.5'"


def program(path: Path, body: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def chain(tmp_path: Path) -> dict[str, Path]:
    """Return a k3s that is found through a link, and every path on the way by its name."""
    tmp_path.chmod(0o755)
    file = program(tmp_path / "opt/k3s/bin/k3s-v1.33.4", f"touch {tmp_path}/started; {ANSWER}")
    link = tmp_path / "usr/bin/k3s"
    link.parent.mkdir(parents=True)
    (tmp_path / "opt/current").symlink_to("k3s")
    link.symlink_to("../../opt/current/bin/k3s-v1.33.4")
    return {
        "file": file,
        "directory": file.parent,
        "directory above": file.parent.parent,
        "top": tmp_path / "opt",
        "link": link,
        "directory of the link": link.parent,
        "directory above the link": link.parent.parent,
        "link on the way": tmp_path / "opt/current",
    }


PLACES = (
    "file",
    "directory",
    "directory above",
    "top",
    "directory of the link",
    "directory above the link",
)
LINKS = ("link", "link on the way")
MODES = (0o757, 0o777, 0o2757, 0o702, 0o707)


def require_not_run(tmp_path: Path, chain: dict[str, Path], risk: str) -> None:
    found = host.k3s_binary({"PATH": str(chain["link"].parent)}, "", tmp_path / "home")

    assert risk in found.risk
    assert found.path == str(chain["link"])
    assert isinstance(found.version, Unknown)
    assert not (tmp_path / "started").exists()
    assert (None, found.risk) == command.found("k3s", {"PATH": str(chain["link"].parent)})
    with pytest.raises(CommandFailed, match="it is not trusted because"):
        command.run(["k3s", "--version"], timeout=5, environ={"PATH": str(chain["link"].parent)})
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("mode", MODES, ids=oct)
@pytest.mark.parametrize("place", PLACES)
def test_a_k3s_that_every_user_can_change_is_not_run(
    tmp_path: Path, chain: dict[str, Path], place: str, mode: int
) -> None:
    chain[place].chmod(mode)

    require_not_run(tmp_path, chain, f"every user can write to {chain[place]} (mode {mode:04o})")


@ROOT
@pytest.mark.parametrize("place", [*PLACES, *LINKS])
def test_a_k3s_of_another_user_is_not_run(
    tmp_path: Path, chain: dict[str, Path], place: str
) -> None:
    os.chown(chain[place], OTHER, -1, follow_symlinks=False)

    require_not_run(tmp_path, chain, f"{chain[place]} belongs to uid {OTHER}")


@ROOT
@pytest.mark.parametrize("group", [OTHER, 4_000_000], ids=["nogroup", "no name"])
@pytest.mark.parametrize("place", PLACES)
def test_a_k3s_that_a_group_of_others_can_change_is_not_run(
    tmp_path: Path, chain: dict[str, Path], place: str, group: int
) -> None:
    os.chown(chain[place], -1, group)
    chain[place].chmod(0o775)

    require_not_run(tmp_path, chain, f"group {group} can write to {chain[place]} (mode 0775)")


# A version, then for each entry its tag, permissions and id (linux/posix_acl_xattr.h): the owner,
# uid 65534, the group, the mask and all others.
ENTRIES = (
    (0x01, 7, 2**32 - 1),
    (0x02, 7, OTHER),
    (0x04, 5, 2**32 - 1),
    (0x10, 7, 2**32 - 1),
    (0x20, 5, 2**32 - 1),
)


@pytest.mark.parametrize("place", PLACES)
def test_a_k3s_with_an_access_list_for_others_is_not_run(
    tmp_path: Path, chain: dict[str, Path], place: str
) -> None:
    try:
        packed = b"".join(struct.pack("<HHI", *one) for one in ENTRIES)
        os.setxattr(chain[place], "system.posix_acl_access", struct.pack("<I", 2) + packed)
    except OSError:
        pytest.skip("this file system has no access control lists")

    require_not_run(tmp_path, chain, f"{chain[place]} has an access control list")


@pytest.mark.parametrize("mode", [0o755, 0o750, 0o700, 0o1777, 0o1775], ids=oct)
@pytest.mark.parametrize("place", PLACES[1:])
def test_a_k3s_that_no_other_user_can_change_is_run(
    tmp_path: Path, chain: dict[str, Path], place: str, mode: int
) -> None:
    """The sticky bit keeps other users from renaming and removing files that they do not own."""
    chain[place].chmod(mode)

    found = host.k3s_binary({"PATH": str(chain["link"].parent)}, "", tmp_path / "home")

    assert "" == found.risk
    assert str(chain["file"]) == found.path
    assert (tmp_path / "started").exists()


def test_a_group_of_the_callers_own_can_write(chain: dict[str, Path]) -> None:
    import grp
    import pwd

    own = pwd.getpwuid(os.getuid())
    if grp.getgrgid(own.pw_gid).gr_name != own.pw_name:
        pytest.skip("this user has no group of their own name")
    os.chown(chain["directory"], -1, own.pw_gid)
    chain["directory"].chmod(0o775)

    assert "" == trust.risk(chain["link"])


@pytest.mark.parametrize("target", ["k3s", "../bin/k3s", "nowhere", "nowhere/k3s"])
def test_a_dangling_link_is_a_risk_and_not_an_error(tmp_path: Path, target: str) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/k3s").symlink_to(target)

    assert trust.risk(tmp_path / "bin/k3s")


RELATIVE = ("", ".", "./", "bin", "./bin", "..", "../here", "bin/../bin", "here/../bin")


@pytest.mark.parametrize("name", ["busctl", "journalctl", "systemctl", "getsubids"])
@pytest.mark.parametrize("entry", RELATIVE, ids=lambda entry: entry or "empty")
def test_no_program_is_run_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, name: str
) -> None:
    for place in ("here", "here/bin", "."):
        program(tmp_path / place / name, f"touch {tmp_path}/started")
    real = program(tmp_path / "usr" / name, "echo real")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", f"{entry}:{tmp_path}/none")

    with pytest.raises(CommandFailed, match="No such file or directory"):
        command.run([name], timeout=5)
    with pytest.raises(CommandFailed, match="No such file or directory"):
        list(command.stream([name]))
    with pytest.raises(CommandFailed, match="No such file or directory"):
        command.replace([name], dict(os.environ))
    assert (None, "") == command.found(name)
    assert (
        "real\n"
        == command.run([name], timeout=5, environ={"PATH": f"{entry}:{real.parent}:{entry}"}).stdout
    )
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("name", ["busctl", "journalctl", "systemctl"])
def test_a_program_that_others_can_change_is_skipped(tmp_path: Path, name: str) -> None:
    program(tmp_path / "open" / name, f"touch {tmp_path}/started")
    (tmp_path / "open").chmod(0o777)
    program(tmp_path / "usr" / name, "echo real")

    path = f"{tmp_path}/open:{tmp_path}/usr"

    assert "real\n" == command.run([name], timeout=5, environ={"PATH": path}).stdout
    assert not (tmp_path / "started").exists()


HOSTILE = (
    "\x1b[2J",
    "\x1b]0;owned\x07",
    "\x9b31m",
    "\x1bP$q\x1b\\",
    "a\rb",
    "a\nb",
    "\x08\x08\x08",
    "\x7f",
    "\u202egnp.exe",
    "\u2066\u2069",
    "\u200b\ufeff",
    "\U000e0041",
    "\x00",
    "\x85\u2028\u2029",
    "k3s\x1b[8m" * 200,
)
FIELDS = ("SYSLOG_IDENTIFIER", "MESSAGE", "__CURSOR", "_SYSTEMD_INVOCATION_ID", "USER_UNIT")


def entry(field: str, value: Any) -> bytes:
    plain = {
        "__REALTIME_TIMESTAMP": "1764000000000000",
        "MESSAGE": "text",
        "SYSLOG_IDENTIFIER": "k3s",
        "_PID": "42",
    }
    return json.dumps(plain | {field: value}).encode()


def as_text(value: str) -> str:
    return value


def as_bytes(value: str) -> list[int]:
    return list(value.encode())


@pytest.mark.parametrize("shape", [as_text, as_bytes], ids=["text", "bytes"])
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_no_field_of_the_journal_is_printed_without_escaping(
    value: str, field: str, shape: Callable[[str], Any]
) -> None:
    found = journald.parse(entry(field, shape(value)))

    assert found is not None
    line = lines.parse(found.message, found.identifier, found.priority)
    shown = stream.text_line(logs.LogLine(found, line))
    assert shown.replace("\n", "").isprintable()
    assert "\n" not in shown or field == "MESSAGE"
    document = {
        "identifier": found.identifier,
        "message": found.message,
        "cursor": found.cursor,
        "unit": found.unit,
    }
    printed = stream.json_line(document | {"invocation": found.invocation})
    assert printed.isprintable()
    assert found.message == json.loads(printed)["message"], "JSON holds the message itself, escaped"
    for short in (found.identifier, found.cursor, found.unit, found.invocation):
        assert short is None or (short.isprintable() and len(short) <= 300)


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_journal_from_another_machine_is_escaped(tmp_path: Path, value: str) -> None:
    length = len(value.encode()).to_bytes(8, "little")
    binary = b"SYSLOG_IDENTIFIER\n" + length + value.encode() + b"\n"
    (tmp_path / "export").write_bytes(
        b"__REALTIME_TIMESTAMP=1764000000000000\nUSER_UNIT=k3s-rootless.service\n" + binary + b"\n"
    )

    (found,) = exported.Exported(tmp_path / "export")

    assert found.identifier is not None
    assert found.identifier.isprintable()


def test_the_support_archive_holds_no_escape_sequence(tmp_path: Path) -> None:
    entries = [
        json.loads(entry(field, value))
        for field in ("SYSLOG_IDENTIFIER", "MESSAGE")
        for value in HOSTILE
    ]
    started = [{"_SYSTEMD_INVOCATION_ID": "a" * 32, **one} for one in entries]
    (tmp_path / "journal").write_text("".join(f"{json.dumps(one)}\n" for one in started))
    program(tmp_path / "bin/journalctl", f"cat {tmp_path}/journal")
    environ = {
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }

    command_line = [
        sys.executable,
        "-m",
        "k3s_rootless",
        "bundle",
        "-o",
        str(tmp_path / "archive.tar.gz"),
    ]
    done = subprocess.run(
        command_line, cwd=PROJECT, env=environ, capture_output=True, text=True, check=False
    )

    assert (tmp_path / "archive.tar.gz").exists(), done.stderr
    with tarfile.open(tmp_path / "archive.tar.gz") as archive:
        texts = {
            one.name: held.read().decode()
            for one in archive
            if (held := archive.extractfile(one)) is not None
        }
    shown = {
        name.partition("/")[2]: text
        for name, text in texts.items()
        if name.endswith((".txt", ".json"))
    }
    assert "journal/start-1.txt" in shown
    assert "gnp.exe" in shown["journal/start-1.txt"]
    assert [] == [name for name, text in shown.items() if not text.replace("\n", "").isprintable()]
    assert "\x1b" not in done.stderr + done.stdout


def test_logs_escape_fields_that_every_process_can_write(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(
        b"\n".join(entry(field, value) for field in FIELDS for value in HOSTILE) + b"\n"
    )
    program(tmp_path / "bin/journalctl", f"cat {tmp_path}/journal")
    environ = {
        "PATH": f"{tmp_path}/bin:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }

    for options in ([], ["--json"], ["--level", "info"]):
        call = [sys.executable, "-m", "k3s_rootless", "logs", "--since", "yesterday", *options]
        done = subprocess.run(call, cwd=PROJECT, env=environ, capture_output=True, check=True)
        text = io.TextIOWrapper(io.BytesIO(done.stdout), "utf-8", newline="").read()
        assert text
        assert text.replace("\n", "").isprintable()
