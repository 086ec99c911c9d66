"""Tests that an interrupted `logs`, `diagnose` or `bundle` ends silently.

The same holds if the reader closes the output. No process is left running. Output that cannot be
written is reported as an error.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import k3s_rootless
from tests.patience import PATIENCE

pytestmark = pytest.mark.thorough

ENTRY = json.dumps(
    {
        "MESSAGE": "level=info msg=hello",
        "SYSLOG_IDENTIFIER": "k3s",
        "_SYSTEMD_USER_UNIT": "k3s-rootless.service",
    }
)
FATAL = ENTRY.replace("level=info msg=hello", "panic: no luck")
INTERRUPTED = 130


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a directory with a journalctl that never ends, and an endless pipe.

    journalctl writes its process id to a file and prints a line.
    """
    program = tmp_path / "journalctl"
    program.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\necho '{ENTRY}'\nexec sleep 600\n")
    program.chmod(0o755)
    os.mkfifo(tmp_path / "never")
    (tmp_path / "export.json").write_text(f"{FATAL}\n")
    return tmp_path


def _accept_interrupts() -> None:
    # A shell ignores the signal in background jobs, and programs that it starts inherit this.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def running(
    place: Path, *args: str, stdout: int = subprocess.PIPE, at: Path = Path(__file__).parents[2]
) -> Iterator[subprocess.Popen[bytes]]:
    environ = {
        "PATH": f"{place}:/usr/bin:/bin",
        "XDG_RUNTIME_DIR": str(place / "none"),
        "HOME": str(place),
        "LANG": "C.UTF-8",
    }
    command = [sys.executable, "-m", "k3s_rootless", *args]
    with subprocess.Popen(
        command,
        cwd=at,
        env=environ,
        preexec_fn=_accept_interrupts,  # noqa: PLW1509 (no threads here)
        stdout=stdout,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def alive(pid: int) -> bool:
    try:
        return "sleep" in Path(f"/proc/{pid}/comm").read_text()
    except OSError:
        return False


def written_pid(path: Path) -> int:
    """Wait until a process id was written, and return it."""
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(path.read_text())


@pytest.mark.parametrize(
    "args",
    [("logs", "-f", "--since", "now"), ("bundle", "-o", "{place}/x.tar.gz")],
    ids=["logs", "bundle"],
)
def test_an_interrupt_ends_the_command_and_its_programs(place: Path, args: tuple[str, ...]) -> None:
    with running(place, *(argument.format(place=place) for argument in args)) as process:
        pid = written_pid(place / "pid")
        assert alive(pid) or process.poll() is None
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)

    # An interrupt during exec(), which creates dataclasses, ends CPython by the signal; a shell
    # reports 130 for both.
    assert process.returncode in {INTERRUPTED, -signal.SIGINT}
    assert b"interrupted" == errors.strip()
    assert not alive(pid)
    assert not list(place.glob("*.tar.gz"))


def test_an_interrupt_ends_a_diagnosis(place: Path) -> None:
    # The pipe is opened for writing once the command has opened it for reading: from then on it
    # waits for lines.
    with (
        running(place, "diagnose", "--file", str(place / "never")) as process,
        (place / "never").open("wb"),
    ):
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)

    # An interrupt during exec(), which creates dataclasses, ends CPython by the signal; a shell
    # reports 130 for both.
    assert process.returncode in {INTERRUPTED, -signal.SIGINT}
    assert b"interrupted" == errors.strip()


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("logs", "-f", "--since", "now"), 0),
        (("diagnose", "--file", "{place}/export.json"), 1),
        (("bundle", "--list"), 0),
    ],
    ids=["logs", "diagnose", "bundle"],
)
def test_a_closed_pipe_causes_no_error_message(
    place: Path, args: tuple[str, ...], code: int
) -> None:
    if args[0] != "logs":
        (place / "journalctl").write_text("#!/bin/sh\nexit 1\n")
    reading, writing = os.pipe()
    os.close(reading)
    with running(
        place, *(argument.format(place=place) for argument in args), stdout=writing
    ) as process:
        os.close(writing)
        _, errors = process.communicate(timeout=PATIENCE)

    assert code == process.returncode
    assert b"Traceback" not in errors
    assert b"Broken" not in errors
    assert not (place / "pid").exists() or not alive(int((place / "pid").read_text()))


def test_a_closed_pipe_ends_a_follow(place: Path) -> None:
    endless = f"echo $$ > {place}/pid; while echo '{ENTRY}'; do :; done; exec sleep 600"
    (place / "journalctl").write_text(
        f"#!/bin/sh\necho '{ENTRY}'\ncase $* in *--follow*) {endless};; esac\n"
    )
    with running(place, "logs", "-f", "--since", "now") as process:
        assert process.stdout is not None
        # The second line is a followed one.
        assert b"hello" in process.stdout.readline() + process.stdout.readline()
        process.stdout.close()
        assert 0 == process.wait(PATIENCE)
    assert not alive(int((place / "pid").read_text()))


@pytest.mark.parametrize(
    "args",
    [
        ("--help",),
        ("diagnose", "--file", "{place}/export.json"),
        ("diagnose", "--file", "{place}/none", "--json"),
        ("bundle", "--list"),
        ("check", "--json"),
    ],
    ids=["help", "diagnose", "error", "bundle", "more than a buffer"],
)
def test_a_full_disk_is_an_error_of_the_output(place: Path, args: tuple[str, ...]) -> None:
    (place / "journalctl").write_text("#!/bin/sh\nexit 1\n")
    arguments = [argument.format(place=place) for argument in args]
    with (
        Path("/dev/full").open("wb") as full,
        running(place, *arguments, stdout=full.fileno()) as process,
    ):
        _, errors = process.communicate(timeout=PATIENCE)

    assert (
        b"error: cannot write the output: no space left on device"
        == errors.strip().splitlines()[-1]
    )
    assert 1 == process.returncode
    assert b"Traceback" not in errors


def test_a_missing_module_is_a_clear_error(place: Path) -> None:
    installed = place / "installed/k3s_rootless"
    shutil.copytree(Path(k3s_rootless.__file__).parent, installed)
    (installed / "cli/diagnose.py").unlink()
    with running(place, "diagnose", "--json", at=installed.parent) as process:
        answer, errors = process.communicate(timeout=PATIENCE)

    (error,) = json.loads(answer)["errors"]
    assert (
        "cannot load k3s-rootless: no module named 'k3s_rootless.cli.diagnose'" == error["message"]
    )
    assert ("reinstall k3s-rootless", 1, 1) == (
        error["hint"],
        error["exit_code"],
        process.returncode,
    )
    assert errors.startswith(b"error: cannot load k3s-rootless: ")
    assert b"Traceback" not in errors
