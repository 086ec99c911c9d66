"""Tests that the files of containerd are shown and checked, with a real containerd or without."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.operations.containerd import check, document, show
from k3s_rootless.operations.context import Context
from k3s_rootless.paths import UNIT
from tests.fakes.session import Session
from tests.fakes.user import USER
from tests.operations import unit

SECRET = "not-to-be-shown"  # noqa: S105 (a value that no answer may contain)
RENDERED = f"""version = 2
[plugins."io.containerd.grpc.v1.cri".registry.configs."r:5000".auth]
  username = "alice"
  password = "{SECRET}"
"""


@pytest.fixture
def place(bus: Session, home: Path) -> Path:
    """Return K3s's directory for containerd, of a K3s that reads drop-ins of version 2."""
    directory = unit.write(bus, home) / "agent/etc/containerd"
    put(home, directory / "config.toml.tmpl", '{{ template "base" . }}\n')
    return directory


def put(home: Path, path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    for one in (path, *path.parents):
        if one != home and one.is_relative_to(home):
            os.chown(one, USER, USER)
    return path


def unpack(home: Path, place: Path) -> None:
    """Put Debian's containerd where K3s unpacks its own one."""
    program = shutil.which("containerd")
    if program is None:
        pytest.skip("containerd is not installed")
    bin_ = place.parents[2] / "data/abc/bin"
    put(home, bin_ / "x", "")
    (bin_ / "containerd").symlink_to(program)
    (bin_.parents[1] / "current").symlink_to(bin_.parent)


def texts(found: check.Checked) -> list[tuple[str, int | None, bool]]:
    return [(one.path.name, one.row, one.fatal) for one in found.problems]


def test_nothing_is_there_before_the_first_start(
    context: Context, bus: Session, home: Path
) -> None:
    unit.write(bus, home)

    assert not show.show(context).rendered
    assert check.check(context).good


def test_problems_are_found_without_containerd(context: Context, place: Path, home: Path) -> None:
    put(home, place / "config.toml", RENDERED)
    put(home, place / "config.toml.d/a.toml", "version = 2\nx = [\n")
    put(home, place / "config.toml.d/b.toml", "[a]\n  SystemdCgroup = true\n")
    put(home, place / "config-v3.toml.d/c.toml", "")

    found = check.check(context)

    expected = {("a.toml", True), ("b.toml", True), ("c.toml", False)}
    assert expected == {(name, fatal) for name, _, fatal in texts(found)}
    assert ("b.toml", 2, True) in texts(found)
    assert not found.good
    assert not found.validated
    assert any("only the TOML syntax is checked" in one for one in found.unknown)
    assert any("it is a Go template" in one for one in found.unknown)


def test_containerd_validates_what_it_reads(context: Context, place: Path, home: Path) -> None:
    put(home, place / "config.toml", RENDERED)
    bad = '[plugins."io.containerd.grpc.v1.cri"]\nenable_selinux = "yes"\n'
    put(home, place / "config.toml.d/a.toml", bad)
    unpack(home, place)

    found = check.check(context)

    assert found.validated
    assert [("a.toml", True)] == [(name, fatal) for name, _, fatal in texts(found)]
    (place / "config.toml.d/a.toml").unlink()
    assert check.check(context).good


def test_the_own_lines_of_a_template_are_validated(
    context: Context, place: Path, home: Path
) -> None:
    unpack(home, place)
    base = '{{ template "base" . }}\n'
    template = put(home, place / "config.toml.tmpl", f"{base}[debug\n")
    assert [("config.toml.tmpl", 2, True)] == texts(check.check(context))

    template.write_text(f"{base}[debug]\nlevel = 'info'\n")
    assert check.check(context).good

    template.write_text(f"{base}{{{{ if }}\n")
    assert [("config.toml.tmpl", None, True)] == texts(check.check(context))


def test_no_answer_contains_a_password(context: Context, place: Path, home: Path) -> None:
    put(home, place / "config.toml", RENDERED)
    log = put(home, place.parents[1] / "containerd/containerd.log", "")
    log.write_text(f'time="2026-01-01T00:00:00Z" level=fatal msg="password {SECRET}"\n')

    shown, checked = show.show(context), check.check(context)

    assert SECRET not in json.dumps([document.of_shown(shown), document.of_checked(checked)])
    assert SECRET not in repr((shown, checked))
    assert 1 == len(checked.lines)
    assert 'username = "alice"' in shown.text
    assert ["alice", "********"] == [
        row.value for row in shown.rows if row.key.endswith(("username", "password"))
    ]


def test_only_lines_of_this_start_count(context: Context, place: Path, home: Path) -> None:
    with context.manager() as manager:
        manager.start(UNIT)
    log = put(home, place.parents[1] / "containerd/containerd.log", "")
    day = timedelta(days=1)
    stamps = [f"{datetime.now(UTC) + change:%Y-%m-%dT%H:%M:%SZ}" for change in (-day, day)]
    log.write_text(
        f'time="{stamps[0]}" level=fatal msg="old"\n'
        f'time="{stamps[1]}" level=info msg="starting"\n'
        "containerd: failed to load TOML\n"
        f'time="{stamps[1]}" level=error msg="failed to load cni during init"\n'
    )

    assert ("containerd: failed to load TOML",) == check.check(context).lines


@pytest.mark.parametrize(
    ("plugin", "reported"),
    [
        # containerd 2, seen with K3s v1.36.3
        (
            'msg="failed to load plugin" error="no lease" id=io.containerd.grpc.v1.cri',
            True,
        ),
        # containerd 1
        ('msg="failed to load plugin io.containerd.grpc.v1.cri" error="no lease"', True),
        (
            'msg="failed to load plugin io.containerd.snapshotter.v1.devmapper" error="none"',
            False,
        ),
        ('msg="skip loading plugin" error="skip" id=io.containerd.server.v1.debug', False),
    ],
)
def test_only_plugins_that_pods_need_count(
    context: Context, place: Path, home: Path, plugin: str, *, reported: bool
) -> None:
    log = put(home, place.parents[1] / "containerd/containerd.log", "")
    line = f'time="2026-01-01T00:00:00Z" level=warning {plugin}'
    log.write_text(f"{line}\n")

    assert ((line,) if reported else ()) == check.check(context).lines


def test_a_file_that_is_newer_than_the_last_start_is_named(
    context: Context, place: Path, home: Path
) -> None:
    put(home, place / "config.toml", RENDERED)
    path = put(home, place / "config.toml.d/a.toml", "")
    os.utime(path, (2_000_000_000, 2_000_000_000))

    assert path in show.show(context).newer
