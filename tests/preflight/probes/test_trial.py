"""Tests of the trial: a child does what rootlesskit does, and leaves nothing behind."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.facts import SubidRange
from k3s_rootless.preflight.probes import apparmor, trial
from k3s_rootless.preflight.records import Trial
from tests.patience import PATIENCE
from tests.preflight.trees import write

RANGES = [[SubidRange(100000, 65536)]] * 2
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root may write the map of another without newuidmap"
)


def tried(*programs: str | None) -> Trial:
    found = trial.RunningTrial().finish(programs, RANGES)
    assert isinstance(found, Known)
    return found.value


def state() -> tuple[str, ...]:
    spaces = tuple(
        str(Path("/proc/self/ns", name).readlink())
        for name in ("user", "mnt", "net", "pid", "ipc", "uts", "cgroup")
    )
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return (
        *spaces,
        Path("/proc/self/mountinfo").read_text(),
        children.read_text() if children.exists() else "",
    )


def test_the_namespaces_are_created_and_the_parent_stays_outside() -> None:
    before = state()

    found = tried(None, None)

    unshared = subprocess.run(
        ["unshare", "--user", "--mount", "--net", "--pid", "--fork", "true"],
        capture_output=True,
        check=False,
    )
    assert (found.user == 0 and not any(found.spaces.values())) == (unshared.returncode == 0)
    assert {"newuidmap": None, "newgidmap": None} == found.mapped
    assert found.overlay is None
    assert before == state()


def test_the_error_message_of_newuidmap_is_kept(tmp_path: Path) -> None:
    complaining = write(
        tmp_path / "newuidmap",
        "#!/bin/sh\necho 'newuidmap: uid range not allowed' >&2\nexit 1\n",
        0o755,
    )
    silent = write(tmp_path / "newgidmap", "#!/bin/sh\nexit 3\n", 0o755)

    found = tried(str(complaining), str(silent))

    assert {
        "newuidmap": "newuidmap: uid range not allowed",
        "newgidmap": "exit status 3",
    } == found.mapped


def test_newuidmap_gets_the_user_and_then_all_ranges(tmp_path: Path) -> None:
    program = write(tmp_path / "newuidmap", '#!/bin/sh\nshift\necho "$@" >&2\nexit 1\n', 0o755)
    ranges = [[SubidRange(100000, 1000), SubidRange(300000, 64536)], [SubidRange(7, 9)]]

    found = trial.RunningTrial().finish((str(program), str(program)), ranges)

    assert isinstance(found, Known)
    uids = f"0 {os.getuid()} 1 1 100000 1000 1001 300000 64536"
    assert {"newuidmap": uids, "newgidmap": f"0 {os.getgid()} 1 1 7 9"} == found.value.mapped


@needs_root
def test_the_trial_mounts_overlayfs_if_the_ids_are_mapped(tmp_path: Path) -> None:
    """Root can write the map itself. The mount is gone when the child ends."""
    script = '#!/bin/sh\necho "0 0 1" > /proc/$1/%s\n'
    programs = [
        str(write(tmp_path / name, script % name, 0o755)) for name in ("uid_map", "gid_map")
    ]
    before = state()

    found = tried(*programs)

    known = "overlay" in Path("/proc/filesystems").read_text().split()
    assert {"newuidmap": "", "newgidmap": ""} == found.mapped
    assert (found.overlay is not None) == known
    assert before == state()


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout.strip()


def test_a_caller_that_ignores_sigchld_gets_a_result() -> None:
    code = (
        "import signal\nfrom k3s_rootless.preflight.probes import trial\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "print(trial.RunningTrial().finish((None, None), ((), ())).value.user)"
    )

    assert run_python(code).isdecimal()


def test_without_a_child_the_result_is_unknown() -> None:
    code = (
        "import resource\nfrom k3s_rootless.preflight.probes import"
        " trial\nresource.setrlimit(resource.RLIMIT_NOFILE, (0,"
        " 0))\nprint(trial.RunningTrial().finish((None, None), ((), ())))"
    )

    assert (
        "Unknown(reason='cannot start a child that creates namespaces: Too many open files')"
        == run_python(code)
    )


def test_a_killed_child_process_gives_no_result() -> None:
    code = (
        "import os, signal\nfrom k3s_rootless.preflight.probes import trial\n"
        "one = trial.RunningTrial()\nos.kill(one._child._pid, signal.SIGKILL)\n"
        "os.waitpid(one._child._pid, 0)\nos.read(one._child._reading, 99)\n"
        "print(trial._numbers(one._child, 1, 0))"
    )

    assert "None" == run_python(code)


def test_a_child_keeps_no_pipe_of_its_parent_open() -> None:
    """The child does not keep a pipe of the parent open.

    Popen uses such a pipe to learn that a program was executed, and another thread can be in Popen.
    """
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as ends:
        running = trial.RunningTrial()
        try:
            os.close(writing)
            ended, _, _ = select.select([ends], [], [], 5)
        finally:
            running.end()

        assert [ends] == ended
        assert b"" == ends.read()


@pytest.mark.parametrize("switch", [None, "0\n"])
def test_without_a_restriction_no_program_is_executed(tmp_path: Path, switch: str | None) -> None:
    if switch is not None:
        write(tmp_path / apparmor.SWITCH, switch)

    found = apparmor.confinement(tmp_path, "/nonexistent/k3s")

    assert isinstance(found, Known)
    assert not found.value.restricted


def test_with_the_restriction_the_label_of_the_real_path_is_read(tmp_path: Path) -> None:
    write(tmp_path / apparmor.SWITCH, "1\n")

    found = apparmor.confinement(tmp_path, "/bin/true")
    without = apparmor.confinement(tmp_path, None)
    missing = apparmor.confinement(tmp_path, "/nonexistent/k3s")

    assert isinstance(found, Known)
    assert found.value.restricted
    # On a kernel with AppArmor, the result is a label; on other kernels, the reason why there is
    # none.
    assert isinstance(found.value.label, Known) == Path(
        "/sys/kernel/security/apparmor"
    ).exists() or isinstance(found.value.label, Unknown)
    assert isinstance(without, Known)
    assert isinstance(without.value.label, Unknown)
    assert isinstance(missing, Known)
    assert "cannot execute /nonexistent/k3s" in str(missing.value.label)


def test_the_program_with_the_label_does_not_run(tmp_path: Path) -> None:
    done = tmp_path / "ran"
    program = write(tmp_path / "k3s", f"#!/bin/sh\ntouch {done}\n", 0o755)

    apparmor.label(str(program))

    assert not done.exists()
