"""Tests of `release prune`: real directories, locks and processes."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.binaries import extractions, installed, store
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.releases import document
from k3s_rootless.operations.releases.get import Request, get
from k3s_rootless.operations.releases.prune import prune
from k3s_rootless.operations.releases.use import use
from k3s_rootless.paths import UNIT
from tests.fakes.release_server import LIMITS, ReleaseServer
from tests.fakes.session import session
from tests.fakes.user import USER, ordinary_user

VERSIONS = ("v1.34.1+k3s1", "v1.35.7+k3s1", "v1.36.3+k3s1")
HASHES = tuple(letter * 64 for letter in "abc")


@pytest.fixture
def extracted(context: Context) -> Path:
    """Return the directory with three extractions, and one that K3s did not finish."""
    place = context.paths.data / "data"
    for name in (*HASHES, "d" * 64 + "-tmp"):
        (place / name / "bin").mkdir(parents=True)
        (place / name / "bin/k3s").write_bytes(b"x" * 10_000)
    (place / "cni").mkdir()
    (place / ".lock").touch()
    (place / "current").symlink_to(place / HASHES[2])
    (place / "previous").symlink_to(place / HASHES[1])
    return place


@pytest.fixture
def releases(context: Context, server: ReleaseServer) -> None:
    for version in VERSIONS:
        server.publish(version)
        get(context, Request(version), LIMITS)
        use(context, version)


def names(place: Path) -> set[str]:
    return {one.name for one in place.iterdir() if one.is_dir() and not one.is_symlink()}


def test_without_a_user_manager_extractions_stay(context: Context, extracted: Path) -> None:
    before = names(extracted)

    found = prune(context, dry_run=False)

    assert before == names(extracted)
    assert all("not known whether K3s is running" in one.reason for one in found.kept)


def test_old_releases_are_removed(context: Context, releases: None) -> None:
    found = prune(context, dry_run=False)

    assert list(VERSIONS[:0:-1]) == [one.version for one in installed.releases(context.paths.own)]
    assert 300_000 == found.freed
    assert {"in use", "the release before the one in use"} == {one.reason for one in found.kept}


def test_a_dry_run_removes_nothing(context: Context, releases: None, extracted: Path) -> None:
    before = names(extracted)

    found = document.of_pruned(prune(context, dry_run=True))

    assert 3 == len(installed.releases(context.paths.own))
    assert before == names(extracted)
    assert found["dry_run"]
    assert 300_000 == found["freed"]


def test_a_dry_run_on_a_new_host_writes_nothing(context: Context) -> None:
    assert () == prune(context, dry_run=True).removed
    assert not context.paths.own.exists()


def test_leftovers_are_removed(context: Context) -> None:
    with store.changing(context.paths.own, lambda: None):
        store.incoming(context.paths.own, "0" * 64).write_bytes(b"x" * 77)

    assert 77 == prune(context, dry_run=False).freed
    assert () == installed.leftovers(context.paths.own)


@pytest.mark.usefixtures("dbus_daemon")
class TestStopped:
    """With a user manager that reports a unit that does not run."""

    @pytest.fixture
    def context(self, context: Context, home: Path) -> Iterator[Context]:
        (home / "session").mkdir()
        home.chmod(0o755)
        with session(home / "session", USER) as bus:
            unit = (
                f"[Service]\nExecStart=/x/k3s server --rootless --data-dir={context.paths.data}\n"
            )
            (bus.units / UNIT).write_text(unit)
            for path in (home, *home.iterdir()):
                shutil.chown(path, USER, USER)
            with ordinary_user() as uid:
                paths = replace(context.paths, runtime=bus.runtime)
                yield replace(context, paths=paths, uid=uid)

    def test_extractions_of_other_releases_are_removed(
        self, context: Context, extracted: Path
    ) -> None:
        found = prune(context, dry_run=False)

        assert {HASHES[1], HASHES[2], "cni"} == names(extracted)
        assert found.freed >= 20_000
        assert () == found.problems

    def test_a_process_in_an_extraction_keeps_it(self, context: Context, extracted: Path) -> None:
        program = extracted / HASHES[0] / "bin/sleep"
        shutil.copy(shutil.which("sleep") or "", program)
        with subprocess.Popen([program, "600"]) as process:
            found = prune(context, dry_run=False)
            process.kill()

        assert program.exists()
        assert "a process runs a program in it" in {one.reason for one in found.kept}

    def test_k3s_that_unpacks_itself_keeps_all(self, context: Context, extracted: Path) -> None:
        before = names(extracted)
        with (extracted / ".lock").open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = prune(context, dry_run=False)

        assert before == names(extracted)
        assert "K3s may be unpacking itself now" in {one.reason for one in found.kept}

    def test_k3s_outside_the_unit_keeps_all(self, context: Context, extracted: Path) -> None:
        before = names(extracted)
        (context.paths.data / "rootless").mkdir()
        with (context.paths.data / "rootless/lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = prune(context, dry_run=False)

        assert before == names(extracted)
        assert "K3s is running" in {one.reason for one in found.kept}

    def test_a_removal_that_was_interrupted_is_continued(
        self, context: Context, extracted: Path
    ) -> None:
        """The name of K3s's own unfinished directory is that of ours."""
        (extracted / HASHES[0]).rename(extracted / f"{HASHES[0]}-tmp")

        prune(context, dry_run=False)

        assert {HASHES[1], HASHES[2], "cni"} == names(extracted)


def test_extractions_are_read_with_what_uses_them(context: Context, extracted: Path) -> None:
    found = {one.path.name[0]: one for one in extractions.read(context.paths.data)}

    assert {"a", "b", "c", "d"} == set(found)
    assert (False, True, True) == tuple(found[one].linked for one in "abc")
    assert found["d"].unfinished
    assert all(one.size >= 10_000 for one in found.values())
