"""Tests of `release` as users run it: answers, progress, exit codes, and --json."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import trustme

from k3s_rootless import schemas
from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.release_server import CHANNELS, VERSION, Fault, ReleaseServer, release_server
from tests.fakes.session import PROJECT, as_user

OTHER = "v1.35.7+k3s1"
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="only root can do this")
pytestmark = [
    pytest.mark.thorough,
    pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only"),
]


@pytest.fixture
def server(home: Path) -> Iterator[ReleaseServer]:
    with release_server(home, trustme.CA()) as running:
        running.publish()
        running.publish(OTHER)
        running.channels |= {"v1.35": OTHER}
        yield running


@pytest.fixture
def environ(home: Path, server: ReleaseServer) -> dict[str, str]:
    (home / "share").mkdir()
    os.chown(home / "share", USER, USER)
    given = environment(home, home / "runtime")
    return {**given, **server.environ, "XDG_DATA_HOME": str(home / "share")}


def run(
    environ: Mapping[str, str],
    *arguments: str,
    before: tuple[str, ...] = (),
    outside: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a command of `release`: `before` runs it as the user, `outside` as the tests' user."""
    return run_tool(environ, "release", *arguments, before=before, outside=outside)


def run_tool(
    environ: Mapping[str, str],
    *arguments: str,
    before: tuple[str, ...] = (),
    outside: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*outside, *as_user(USER), *before, sys.executable, "-m", "k3s_rootless", *arguments],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def document(environ: Mapping[str, str], *arguments: str, code: int = 0) -> dict[str, Any]:
    done = run(environ, *arguments, "--json")
    assert code == done.returncode, done
    found: dict[str, Any] = json.loads(done.stdout)
    assert schemas.name(f"release-{arguments[0]}") == found["schema"]
    return found


def test_get_list_use_and_prune(environ: dict[str, str], home: Path) -> None:
    got = run(environ, "get")
    assert 0 == got.returncode, got.stderr
    assert f"K3s {VERSION} is verified" in got.stdout
    assert "it is in use now; start K3s with: k3s-rootless up" in got.stdout
    assert "292 KiB (100%)" in got.stderr

    other = run(environ, "get", "v1.35")
    assert f"use it with: k3s-rootless release use {OTHER}" in other.stdout
    used = run(environ, "use", OTHER)
    assert "takes effect at the next start of K3s" in used.stdout
    assert OTHER == Path(home / "share/k3s-rootless/bin/k3s").resolve().parent.name

    listed = run(environ, "list").stdout
    assert re.search(rf"{re.escape(OTHER)} .* verified +in use", listed)
    assert "channels, as known on 20" in listed
    remote = run(environ, "list", "--remote").stdout
    assert re.search(rf"v1.35 +{re.escape(OTHER)}", remote)

    pruned = run(environ, "prune")
    assert 0 == pruned.returncode, pruned.stderr
    assert "nothing to remove" in pruned.stdout


def test_the_mirror_of_the_settings_is_shown_and_used(environ: dict[str, str]) -> None:
    """Neither needs a session of the user."""
    mirror = environ.pop("INSTALL_K3S_ARTIFACT_URL")
    assert (
        "release.mirror is" in run_tool(environ, "config", "set", "release.mirror", mirror).stdout
    )
    assert f"{mirror}\n" == run_tool(environ, "config", "get", "release.mirror").stdout

    listed = run(environ, "list", "--remote").stdout
    assert f"release get downloads from {mirror} (release.mirror)" in listed
    assert 0 == run(environ, "get", VERSION).returncode

    unset = run_tool(environ, "config", "unset", "release.mirror")
    assert "release.mirror has no value\n" == unset.stdout
    assert 1 == run_tool(environ, "config", "get", "release.mirror").returncode


def test_each_command_prints_one_document_and_no_progress(environ: dict[str, str]) -> None:
    got = run(environ, "get", "--json")
    found = json.loads(got.stdout)

    assert "" == got.stderr
    assert (VERSION, True, True) == (found["version"], found["changed"], found["in_use"])
    assert 2 == len(document(environ, "list", "--remote")["channels"]["offers"])
    assert not document(environ, "use", VERSION)["changed"]
    assert 0 == document(environ, "prune", "--dry-run")["freed"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("get", "stabel"), 1, "cannot get `stabel`"),
        (("get", "v1.36.3"), 2, "neither a release"),
        (("get", "--mirror", "http://x"), 2, "cannot use --mirror"),
        (("get", "--file", "x"), 2, "use both"),
        (("use", "v1.30.1+k3s1"), 1, "not on this host"),
        (("use", "stable"), 2, "name a release"),
    ],
)
def test_an_error_has_its_code_and_a_hint(
    environ: dict[str, str], arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = run(environ, *arguments)
    (error,) = document(environ, *arguments, code=code)["errors"]

    assert code == done.returncode
    assert done.stderr.startswith("error: cannot ")
    assert message in done.stderr
    assert message in error["message"]


def test_a_list_without_a_server_shows_what_is_known(
    environ: dict[str, str], server: ReleaseServer
) -> None:
    run(environ, "list", "--remote")
    server.fail(CHANNELS, Fault(404, permanent=True))

    done = run(environ, "list", "--remote")

    assert 1 == done.returncode
    assert "channels, as known on" in done.stdout
    assert "error: cannot list the channels" in done.stderr


def test_a_read_only_home_is_an_error(environ: dict[str, str], home: Path) -> None:
    if os.getuid() == 0:
        os.chown(home / "share", 0, 0)
    else:
        (home / "share").chmod(0o500)

    done = run(environ, "get")

    assert 1 == done.returncode
    assert "permission denied" in done.stderr
    assert "set XDG_DATA_HOME" in done.stderr


@pytest.mark.skipif(shutil.which("setarch") is None, reason="setarch is not installed")
def test_a_machine_without_releases(
    environ: dict[str, str], home: Path, server: ReleaseServer
) -> None:
    """The kernel reports another machine to a process with this personality (setarch(8))."""
    done = run(environ, "get", before=("setarch", "i686"))

    assert 8 == done.returncode
    assert "error: cannot get K3s: there are no releases for i686" in done.stderr
    assert [] == server.requests
    assert [] == list((home / "share").iterdir())


@AS_ROOT
def test_a_directory_of_another_user_is_refused(environ: dict[str, str], home: Path) -> None:
    own = home / "share/k3s-rootless"
    own.mkdir()
    own.chmod(0o777)
    os.chown(own, 4_000_000, 4_000_000)

    done = run(environ, "get")

    assert 5 == done.returncode
    assert f"cannot keep releases in {own}/releases: {own} belongs to uid 4000000" in done.stderr
    assert "set XDG_DATA_HOME to a directory that only you can change" in done.stderr
    assert [] == list(own.rglob("k3s"))


@AS_ROOT
def test_a_full_disk_is_known_before_the_download(
    environ: dict[str, str], home: Path, server: ReleaseServer
) -> None:
    """The file system has 16 MiB, and the release needs its size and a reserve."""
    share = home / "share"
    options = f"size=16m,mode=755,uid={USER}"
    script = f'mount -t tmpfs -o {options} x {share} && "$@"; code=$?; ls -R {share}; exit $code'
    mounted = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh")

    done = run(environ, "get", VERSION, outside=mounted)

    assert 5 == done.returncode, done
    assert re.search(r"cannot store k3s: it needs 64\.2 MiB on the file system of", done.stderr)
    assert re.search(r"where 1\d\.\d MiB are free", done.stderr)
    assert "`k3s-rootless release prune` removes what is not needed" in done.stderr
    assert VERSION not in done.stdout


def test_a_terminal_shows_a_bar(environ: dict[str, str]) -> None:
    leader, follower = pty.openpty()
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "release", "get"]
    variables = {**environ, "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        command, cwd=PROJECT, env=variables, stdout=subprocess.DEVNULL, stderr=follower
    ) as process:
        os.close(follower)
        shown = b"".join(iter(lambda: _read(leader), b"")).decode()
        assert 0 == process.wait(60), shown
    os.close(leader)

    assert "━━━" in shown
    assert "of 292 KiB" in shown
    assert "iB/s" in shown


@pytest.mark.skipif(shutil.which("k3s") is not None, reason="this host has a k3s")
@pytest.mark.parametrize(("answer", "kept"), [(b"n\n", []), (b"y\n", [VERSION])])
def test_up_without_a_k3s_asks_on_a_terminal(
    environ: dict[str, str], home: Path, answer: bytes, kept: list[str]
) -> None:
    leader, follower = pty.openpty()
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "up"]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environ, stdin=follower, stdout=follower, stderr=follower
    ):
        os.close(follower)
        os.write(leader, answer)
        shown = b"".join(iter(lambda: _read(leader), b"")).decode()
    os.close(leader)
    text = " ".join(shown.split())

    assert f"K3s is not installed. Download K3s {VERSION} (292 KiB) from https://localhost" in text
    releases = home / "share/k3s-rootless/releases"
    assert kept == [one.name for one in releases.glob("v*")]


@pytest.mark.skipif(shutil.which("k3s") is not None, reason="this host has a k3s")
def test_up_without_a_k3s_and_a_terminal_queries_no_server(
    environ: dict[str, str], server: ReleaseServer
) -> None:
    done = run_tool(environ, "up")

    assert 0 != done.returncode
    assert [] == server.requests


def test_an_interrupt_ends_the_command_and_the_next_one_continues(
    environ: dict[str, str], server: ReleaseServer, home: Path
) -> None:
    server.fail_file("k3s", Fault(cut=100_000, pause=30))
    command = [*as_user(USER), sys.executable, "-m", "k3s_rootless", "release", "get"]
    with subprocess.Popen(
        command, cwd=PROJECT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while not any(one.stat().st_size for one in home.glob("share/*/releases/.incoming/*.part")):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)

    assert 130 == process.returncode
    assert stderr.endswith(b"interrupted\n")
    assert 0 == run(environ, "get").returncode
    assert server.requested("/k3s")[-1].startswith("bytes=")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""  # the other end is closed
