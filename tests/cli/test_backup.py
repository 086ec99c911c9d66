"""Tests of `backup` as a user runs it: a fake user manager, real files and a real datastore."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from k3s_rootless.paths import UNIT
from tests.cli.conftest import USER
from tests.cli.test_bad_bus import environment
from tests.fakes.session import PROJECT, Session, as_user
from tests.operations import unit
from tests.operations.backup import k3s

pytestmark = pytest.mark.thorough

START_SECONDS = 60.0
"""The longest time until a restore has replaced the files, on any machine."""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(home: Path, bus: Session) -> dict[str, str]:
    """Return the environment of a user; K3s is installed and stopped."""
    (bus.directory / "user").symlink_to("units")
    os.chown(home, USER, USER)
    k3s.make(unit.write(bus, home))
    program = unit.write_k3s(home)
    for path in home.rglob("*"):
        if path.is_relative_to(home / "data") or path.name == "data":
            os.chown(path, USER, USER)
    environ = environment(home, bus.runtime)
    # The home directory of the user database is not that of the test.
    environ |= {"XDG_DATA_HOME": str(home / "share"), "PATH": f"{program.parent}:{environ['PATH']}"}
    (home / "share").mkdir()
    os.chown(home / "share", USER, USER)
    return environ


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """Return a function that runs `backup`."""

    def run_command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*words),
            cwd=PROJECT,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run_command


def command(*words: str) -> list[str]:
    """Return the command line of `backup`."""
    return [*as_user(USER), sys.executable, "-m", "k3s_rootless", "backup", *words]


def document(done: subprocess.CompletedProcess[str], name: str) -> dict[str, object]:
    """Return the document of a command."""
    found: dict[str, object] = json.loads(done.stdout)
    assert found["schema"] == f"k3s-rootless/backup-{name}/v1"
    return found


def test_a_backup_is_created_listed_and_verified(run: Run, home: Path) -> None:
    assert "contains no backups" in run("list").stdout

    done = run("create")

    assert done.returncode == 0, done.stderr
    assert "wrote " in done.stdout
    assert "contains secrets" in done.stderr
    (file,) = (home / "share/k3s-rootless/backups").iterdir()
    listed = run("list")
    assert file.name in listed.stdout
    assert "v1.33.4+k3s1" in listed.stdout
    verified = run("verify", file.name)
    assert (verified.returncode, verified.stderr) == (0, "")
    assert "complete and undamaged" in verified.stdout


def test_documents(run: Run, home: Path) -> None:
    file = str(home / "share/a.tar.gz")
    created = document(run("create", "-o", file, "--json"), "create")
    assert isinstance(created["backup"], dict)
    assert created["backup"]["file"] == file
    assert document(run("verify", file, "--json"), "verify")["backup"] == created["backup"]
    assert document(run("list", "--json"), "list")["backups"] == []

    again = run("create", "-o", file, "--json")
    assert again.returncode == 7
    assert document(again, "create")["errors"]


def test_a_damaged_backup(run: Run, home: Path) -> None:
    file = home / "share/a.tar.gz"
    run("create", "-o", str(file))
    file.write_bytes(file.read_bytes()[:-9])

    done = run("verify", str(file))

    assert done.returncode == 1
    assert f"error: cannot use `{file}`: it is truncated" in done.stderr
    assert run("restore", str(file), "--yes").returncode == 1


def test_a_restore_is_not_started_without_consent(run: Run, home: Path) -> None:
    file = home / "share/a.tar.gz"
    run("create", "-o", str(file))
    before = k3s.content(home / "data")

    done = run("restore", str(file))

    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert before == k3s.content(home / "data")


def test_a_k3s_that_does_not_get_ready_keeps_its_files(run: Run, home: Path) -> None:
    """The fake user manager starts no program, so that the API server never answers."""
    file = home / "share/a.tar.gz"
    run("create", "-o", str(file))
    k3s.make(home / "data", "second")

    done = run("restore", str(file), "--yes", "--timeout", "2s")

    assert done.returncode == 1
    assert "the earlier state was put back" in done.stderr
    assert k3s.rows(home / "data") == {"second"}
    assert not (home / "share/k3s-rootless/transaction.json").exists()


def test_a_dry_run_changes_nothing(run: Run, home: Path) -> None:
    file = home / "share/a.tar.gz"
    run("create", "-o", str(file))
    k3s.make(home / "data", "second")
    before = k3s.content(home / "data")

    done = run("restore", str(file), "--dry-run", "--json")

    assert done.returncode == 0, done.stderr
    found = document(done, "restore")
    assert (found["restored"], found["dry_run"], found["adapted"]) == (False, True, [])
    assert "can be restored here" in run("restore", str(file), "--dry-run").stdout
    assert before == k3s.content(home / "data")


def test_volumes_need_subordinate_ids(run: Run, home: Path) -> None:
    """The user of this test has none."""
    (home / "data/storage/pvc-1").mkdir(parents=True)

    done = run("create", "--volumes", "-o", str(home / "share/a.tar.gz"))

    assert done.returncode == 1
    assert "error: cannot read and write volumes: " in done.stderr
    assert "k3s-rootless check" in done.stderr
    assert not (home / "share/a.tar.gz").exists()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--abort", "--dry-run"), "cannot use --dry-run without FILE"),
        ((), "name one of FILE, --continue and --abort"),
        (("a", "--abort"), "name one of FILE, --continue and --abort"),
        (("--continue", "--abort"), "name one of FILE, --continue and --abort"),
        (("--abort",), "no restore is unfinished"),
        (("--continue",), "no restore is unfinished"),
    ],
)
def test_restores_that_cannot_be_meant(run: Run, words: tuple[str, ...], why: str) -> None:
    done = run("restore", *words)

    assert done.returncode == 2
    assert why in done.stderr


def test_an_interrupted_restore_is_undone(run: Run, home: Path) -> None:
    record = home / "share/k3s-rootless/transaction.json"
    record.parent.mkdir(parents=True)
    for path in (record.parent, record.parent.parent):
        os.chown(path, USER, USER)
    content = {
        "phase": "staging",
        "kind": "restore",
        "archive": "/a",
        "running": False,
        "paths": [],
        "expected": {"data": "", "node": ""},
    }
    record.write_text(json.dumps(content))
    os.chown(record, USER, USER)

    done = run("restore", "--abort", "--json")

    assert document(done, "restore")["restored"] is False
    assert not record.exists()


@pytest.mark.parametrize("ending", ["--abort", "--continue"])
def test_a_killed_restore_is_undone(
    ending: str, run: Run, environ: dict[str, str], home: Path, bus: Session
) -> None:
    """K3s does not get ready here, so that `--continue` puts the earlier state back, too."""
    file = home / "share/a.tar.gz"
    record = home / "share/k3s-rootless/transaction.json"
    run("create", "-o", str(file))
    k3s.make(home / "data", "second")
    with subprocess.Popen(
        command("restore", str(file), "--yes"), cwd=PROJECT, env=environ, stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + START_SECONDS
        while not (record.exists() and '"placed"' in record.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
    assert (home / "data/server/token").read_text() == "first"
    refused = run("create")
    assert refused.returncode == 1
    assert "--abort" in refused.stderr

    done = run("restore", ending, "--timeout", "1s")

    assert done.returncode == (ending == "--continue")
    assert "the earlier state" in done.stdout + done.stderr
    assert k3s.rows(home / "data") == {"second"}
    assert not record.exists()
    assert not list((bus.units / f"{UNIT}.d").glob("*transaction*"))


def test_a_schedule(run: Run, home: Path, bus: Session) -> None:
    assert "schedule     none" in run("schedule").stdout
    refused = run("schedule", "--keep", "3")
    assert refused.returncode == 2
    assert "name one of daily, weekly and off" in refused.stderr

    done = document(run("schedule", "daily", "--keep", "1", "--json"), "schedule")

    assert (done["schedule"], done["keep"], done["changed"]) == ("daily", 1, True)
    service = (bus.units / "k3s-rootless-backup.service").read_text()
    assert f"XDG_DATA_HOME={home}/share" in service
    assert 'k3s_rootless" backup create --live --keep 1' in service
    old = home / "share/k3s-rootless/backups/k3s-rootless-backup-20260101T000000Z-scheduled.tar.gz"
    old.parent.mkdir(parents=True)
    old.write_text("")
    for path in (old, old.parent, old.parent.parent):
        os.chown(path, USER, USER)
    assert document(run("create", "--keep", "1", "--json"), "create")["deleted"] == [str(old)]
    assert not old.exists()
    assert "cannot use --keep with -o" in run("create", "--keep", "1", "-o", "a").stderr

    assert run("schedule", "off").returncode == 0
    assert not list(bus.units.glob("k3s-rootless-backup*"))


def test_a_reset(environ: dict[str, str], home: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        arguments = [word for word in command(*words) if word != "backup"]
        return subprocess.run(
            arguments,
            cwd=PROJECT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )

    planned = run("reset", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert f"2. remove from {home}/data: server/db\n" in planned.stdout
    refused = run("reset")
    assert refused.returncode == 2
    assert "add --yes" in refused.stderr
    assert (home / "data/server/db").exists()

    done = run("reset", "--yes")

    assert done.returncode == 0, done.stderr
    assert "the cluster is empty; start K3s with: k3s-rootless up" in done.stdout
    assert not (home / "data/server/db").exists()
    assert len(list((home / "share/k3s-rootless/backups").glob("*.tar.gz"))) == 1
    assert "nothing to do: there is no cluster" in run("reset", "--yes").stdout
