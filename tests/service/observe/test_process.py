from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.observe import process

GIVEN = {
    "PATH": os.environ["PATH"],
    "INVOCATION_ID": "0" * 32,
    "K3S_ROOTLESS_MTU": "1400\n\u00e9 '=$",
}
# Overwrites the environment that the kernel shows, as K3s does with its process title.
BLANK = """
import pathlib, subprocess, sys, time
fields = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()
begin, end = int(fields[47]), int(fields[48])
child = subprocess.Popen([sys.argv[1], "60"]) if sys.argv[1:] else None
# execve(2) closes what Popen waits for before the kernel shows the new program.
def shown():
    command = pathlib.Path(f"/proc/{child.pid}/cmdline").read_bytes()
    return command.startswith(sys.argv[1].encode())
while child and not shown():
    time.sleep(0.01)
with open("/proc/self/mem", "r+b", 0) as memory:
    memory.seek(begin)
    memory.write(b"k3s server=".ljust(end - begin, b"\\0"))
print("ready", flush=True)
try:
    time.sleep(60)
finally:
    child and child.kill()
"""


def run(*argv: str) -> subprocess.Popen[str]:
    started = subprocess.Popen(argv, env=GIVEN, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert "ready\n" == started.stdout.readline()
    return started


def test_the_environment_of_a_process_is_read() -> None:
    with run(
        sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"
    ) as started:
        found = process.started_with(started.pid)
        started.kill()

    assert isinstance(found, Known)
    assert GIVEN == {name: found.value[name] for name in GIVEN}
    assert f"/proc/{started.pid}/environ" == found.source


def test_before_the_program_is_executed_the_environment_is_that_of_the_manager() -> None:
    with run(
        sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(60)"
    ) as started:
        own = process.started_with(started.pid, GIVEN["INVOCATION_ID"])
        early = process.started_with(started.pid, "0f" * 16)
        started.kill()

    assert isinstance(own, Known)
    assert early == Unknown(f"process {started.pid} has not executed the program of the unit yet")


def test_an_overwritten_environment_is_unknown() -> None:
    with run(sys.executable, "-c", BLANK) as started:
        found = process.started_with(started.pid)
        started.kill()

    assert found == Unknown(f"the process has overwritten /proc/{started.pid}/environ")


@pytest.mark.parametrize(("name", "known"), [("slirp4netns", True), ("sleep", False)])
def test_the_environment_of_slirp4netns_replaces_an_overwritten_one(
    tmp_path: Path,
    name: str,
    known: bool,  # noqa: FBT001
) -> None:
    program = tmp_path / name
    program.symlink_to(Path("/usr/bin/sleep").resolve())
    with run(sys.executable, "-c", BLANK, str(program)) as started:
        found = process.started_with(started.pid)
        started.terminate()
        for child in Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split():
            os.kill(int(child), 9)

    assert known == isinstance(found, Known)
    if isinstance(found, Known):
        assert found.value["K3S_ROOTLESS_MTU"] == GIVEN["K3S_ROOTLESS_MTU"]


def test_the_environment_of_a_stopped_process_is_unknown(tmp_path: Path) -> None:
    assert Unknown("it is not running") == process.started_with(0)
    assert process.started_with(7, proc=tmp_path) == Unknown(
        f"cannot read {tmp_path}/7/environ: no such file or directory"
    )
