"""Tests of the lab: what tests inside rely on, and what the host relies on."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import payload
from tests.lab import cgroups
from tests.lab.driver import Lab
from tests.lab.errors import LabError
from tests.lab.fixtures import absent, fresh
from tests.lab.orders import ORDERS
from tests.lab.site import Site, one_at_a_time, sweep
from tests.machine import HOME, TOOL, UID, USER, MachineError

pytestmark = pytest.mark.lab


@pytest.fixture
def another() -> Iterator[Lab]:
    try:
        machine = Lab.up(f"another-{os.getpid()}")
    except MachineError as error:
        absent("lab", str(error))
    yield machine
    machine.down()


def traces(label: str) -> list[str]:
    """Return all files, cgroups, mounts and processes of this lab on the host."""
    name = f"k3s-rootless-lab-{label}"
    found = [
        str(path) for place in (Path("/run"), cgroups.mount_point()) for path in place.glob(name)
    ]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            seen = (process / "mountinfo").read_text() + (process / "cgroup").read_text()
        except OSError:
            continue
        if name in seen:
            found.append(str(process))
    return found


def test_the_user_lingers_and_is_logged_in(lab: Lab) -> None:
    fresh(lab)
    assert (
        "yes\n" == lab.user("loginctl", "show-user", USER, "--property", "Linger", "--value").stdout
    )
    own = lab.user("cat", "/proc/self/cgroup").stdout.splitlines()[-1]
    assert own.startswith(f"0::/user.slice/user-{UID}.slice/session-")


def test_the_user_can_log_in_again(another: Lab) -> None:
    before = another.user("cat", "/proc/self/cgroup").stdout
    another.log_in_again()
    after = another.user("cat", "/proc/self/cgroup").stdout
    assert f"user-{UID}.slice/session-" in after
    assert after != before


def test_the_network_is_its_own(lab: Lab) -> None:
    links = lab.user("ip", "-brief", "address").stdout.split()
    assert "lo" == links[0]
    assert "127.0.0.1/8" in links
    assert "1\n" == lab.user("cat", "/proc/sys/net/ipv4/ip_forward").stdout
    lab.root("sysctl", "-qw", "net.ipv4.ip_forward=0").check_returncode()
    lab.root("sysctl", "-qw", "net.ipv4.ip_forward=1").check_returncode()
    assert lab.root("sysctl", "-qw", "kernel.panic=7").returncode != 0


def test_delegation_is_reported_correctly(lab: Lab) -> None:
    fresh(lab)
    assert lab.delegates == (not cgroups.lacking(lab.site.cgroup))
    if lab.plays_k3s and not lab.delegates:
        assert '{"enforce_controllers": false}' == lab.user("cat", str(ORDERS)).stdout


def test_fresh_removes_files_of_earlier_tests(lab: Lab) -> None:
    unit = HOME / ".config/systemd/user/k3s-rootless.service"
    lab.user("mkdir", "-p", str(unit.parent), str(HOME / ".kube")).check_returncode()
    lab.user(
        "tee", str(unit), stdin="[Service]\nExecStart=/usr/bin/sleep infinity\n"
    ).check_returncode()
    lab.user("systemctl", "--user", "start", unit.name).check_returncode()
    lab.user("systemctl", "--user", "set-environment", "K3S_ROOTLESS_MTU=1400").check_returncode()
    lab.user("tee", str(ORDERS), stdin='{"fail": "anything"}').check_returncode()
    fresh(lab)
    shown = lab.user(
        "systemctl", "--user", "show", "--property=LoadState,ActiveState", unit.name
    ).stdout
    assert ["LoadState=not-found", "ActiveState=inactive"] == shown.splitlines()
    assert "K3S_" not in lab.user("systemctl", "--user", "show-environment").stdout
    assert lab.user("ls", str(HOME / ".kube")).returncode != 0
    assert "anything" not in lab.user("cat", str(ORDERS)).stdout


def test_exit_status_input_and_both_outputs_are_passed_on(lab: Lab) -> None:
    done = lab.user("sh", "-c", "cat; echo complaint >&2; exit 7", stdin="fed\n")
    assert (7, "fed\n", "complaint\n") == (done.returncode, done.stdout, done.stderr)
    assert 127 == lab.user("no-such-program").returncode
    assert -signal.SIGTERM == lab.user("sh", "-c", "kill -TERM $$").returncode


def test_a_signal_reaches_the_program(lab: Lab) -> None:
    process = lab.popen(
        "sh", "-c", "trap 'echo interrupted; exit 130' INT; echo ready; while :; do sleep 0.1; done"
    )
    with process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert "interrupted\n" == process.stdout.readline()
    assert 130 == process.returncode


def test_killing_the_returned_process_kills_the_program(lab: Lab) -> None:
    with lab.popen("sh", "-c", "echo ready; exec sleep 987654") as process:
        assert process.stdout is not None
        assert "ready\n" == process.stdout.readline()
        process.kill()
    assert (
        0
        == lab.root(
            "timeout", "5", "sh", "-c", "while pgrep -f '^sleep 987654'; do sleep 0.1; done"
        ).returncode
    )


def test_a_program_over_its_time_limit_is_killed_with_its_children(lab: Lab) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        lab.user("sh", "-c", "sleep 876543 & wait", timeout=0.5)
    assert 1 == lab.root("pgrep", "-f", "^sleep 876543").returncode


def test_two_labs_do_not_see_each_other(lab: Lab, another: Lab) -> None:
    lab.root("touch", "/etc/mine", "/run/mine", str(HOME / "mine"), "/tmp/mine").check_returncode()
    listener = ("systemd-run", "--user", "--wait", "--property=RuntimeMaxSec=1", "sleep", "10")
    assert (
        "" == another.root("ls", "/etc/mine", "/run/mine", str(HOME / "mine"), "/tmp/mine").stdout
    )
    assert not Path("/etc/mine").exists()
    assert another.user(*listener).returncode != 0
    names = [each.root("cat", "/etc/machine-id").stdout for each in (lab, another)]
    assert names[0] != names[1]


def test_one_name_is_one_lab(another: Lab) -> None:
    with pytest.raises(LabError, match="is already running"):
        Lab.up(another.site.label)


def test_down_removes_everything() -> None:
    label = f"gone-{os.getpid()}"
    try:
        machine = Lab.up(label)
    except MachineError as error:
        absent("lab", str(error))
    machine.user("systemd-run", "--user", "sleep", "infinity").check_returncode()
    assert traces(label)
    machine.down()
    assert [] == traces(label)


def test_the_lab_of_a_killed_driver_is_removed_soon(lab: Lab) -> None:
    label = f"killed-{os.getpid()}"
    code = (
        f"import time; from tests.lab.driver import Lab; Lab.up({label!r}); print('up',"
        " flush=True); time.sleep(60)"
    )
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stdout=subprocess.PIPE, text=True
    ) as driver:
        assert driver.stdout is not None
        assert "up\n" == driver.stdout.readline()
        holder = int((Site(label).state / "holder").read_text().split()[0])
        ended = os.pidfd_open(holder)
        driver.kill()
    assert select.select([ended], [], [], 20)[0], "what holds the namespaces lives on"
    os.close(ended)
    with one_at_a_time():
        sweep()
    assert [] == traces(label)
    assert traces(lab.site.label), "the living are left alone"


def test_the_payload_is_built_once_and_unpacks_anywhere(lab: Lab, tmp_path: Path) -> None:
    assert lab.plays_k3s or os.environ.get("K3S_BINARY")
    tree = payload.build()
    assert tree == payload.build()
    with (tmp_path / "payload.tar").open("wb") as archive:
        payload.tar(tree, archive)
    with tarfile.open(tmp_path / "payload.tar") as archive:
        launcher = archive.getmember(TOOL.removeprefix("/"))
        assert (0o755, 0, "root") == (launcher.mode, launcher.uid, launcher.uname)
        assert {"opt", "usr"} == {name.partition("/")[0] for name in archive.getnames()}


@pytest.mark.timeout(600)
def test_the_demonstration_succeeds(lab: Lab) -> None:
    root = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab", "demo"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    for step in ("check", "up", "ports", "down"):
        assert f"\n$ k3s-rootless {step}" in done.stdout
    assert "\n$ curl -si http://localhost:10080/\nHTTP/1.1 " in done.stdout
    assert lab.delegates or "keeps cpu, cpuset, memory, pids on cgroup v1" in done.stdout
