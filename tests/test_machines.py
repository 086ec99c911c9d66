"""Tests of what every machine guarantees: labs with each systemd, and virtual machines."""

from __future__ import annotations

import pytest

from tests.lab.driver import Lab
from tests.lab.fixtures import fresh
from tests.machine import HOME, K3S, RUNTIME_DIR, TOOL, UID, USER, Machine
from tests.vm.machine import Vm


class Promises:
    """Tests that each class below runs on its machine."""

    def test_both_managers_run_without_a_failed_unit(self, machine: Machine) -> None:
        assert "running\n" == machine.root("systemctl", "is-system-running").stdout
        assert "running\n" == machine.user("systemctl", "--user", "is-system-running").stdout

    def test_the_user_lingers_and_is_logged_in_once(self, machine: Machine) -> None:
        where = machine.user("cat", "/proc/self/cgroup").stdout
        assert where.splitlines()[-1].startswith(f"0::/user.slice/user-{UID}.slice/session-")
        assert where == machine.user("cat", "/proc/self/cgroup").stdout
        linger = ("loginctl", "show-user", USER, "--property=Linger", "--value")
        assert "yes\n" == machine.user(*linger).stdout

    def test_the_user_is_an_ordinary_one(self, machine: Machine) -> None:
        assert (
            f"uid={UID}({USER}) gid={UID}({USER}) groups={UID}({USER})\n"
            == machine.user("id").stdout
        )
        assert [
            str(HOME),
            str(RUNTIME_DIR),
        ] == machine.user("sh", "-c", "pwd; echo $XDG_RUNTIME_DIR").stdout.splitlines()
        assert 2 == machine.user("grep", USER, "/etc/subuid", "/etc/subgid").stdout.count(
            f"{USER}:100000:65536"
        )
        assert machine.user("cat", "/etc/shadow").returncode != 0

    def test_arguments_input_environment_and_exit_status_are_passed_on(
        self, machine: Machine
    ) -> None:
        assert "a b|$HOME|" == machine.user("printf", "%s|", "a b", "$HOME", env={"X": "y"}).stdout
        assert (
            "hello, 'you'\n"
            == machine.user("printenv", "GREETING", env={"GREETING": "hello, 'you'"}).stdout
        )
        done = machine.user("sh", "-c", "cat; echo complaint >&2; exit 7", stdin="fed\n")
        assert (7, "fed\n", "complaint\n") == (done.returncode, done.stdout, done.stderr)

    def test_the_journal_is_kept_for_the_user(self, machine: Machine) -> None:
        machine.user(
            "systemd-run", "--user", "--wait", "--unit=logged", "echo", "logged by the test"
        ).check_returncode()
        machine.root("journalctl", "--sync").check_returncode()
        assert (
            "logged by the test"
            in machine.user("journalctl", "--user", "--unit=logged", "--output=cat").stdout
        )
        assert machine.root("find", "/var/log/journal", "-name", f"user-{UID}.journal").stdout

    def test_project_and_k3s_are_installed_for_everyone(self, machine: Machine) -> None:
        assert 0 == machine.user("sh", "-c", f"test -x {TOOL} && test -x {K3S}").returncode
        assert (
            0
            == machine.user(
                "/opt/k3s-rootless/bin/python", "-I", "-c", "import k3s_rootless"
            ).returncode
        )
        assert machine.root("touch", "/opt/k3s-rootless/written").returncode != 0

    def test_rootlesskit_runs_in_a_delegated_unit(self, machine: Machine) -> None:
        unit = ("systemd-run", "--user", "--wait", "--pipe", "--property=Delegate=yes")
        rootlesskit = (
            *(
                "rootlesskit",
                "--net=slirp4netns",
                "--disable-host-loopback",
                "--copy-up=/etc",
                "--copy-up=/run",
            ),
            *("--port-driver=builtin", "--cgroupns", "--pidns", "--evacuate-cgroup2=evacuated"),
        )
        seen = machine.user(
            *unit,
            *rootlesskit,
            "sh",
            "-c",
            "id -u; tail -n 1 /proc/self/cgroup; ip -brief address show tap0",
        )
        assert 0 == seen.returncode, seen.stderr
        uid, cgroup, tap = seen.stdout.splitlines()
        assert "0" == uid
        assert cgroup.startswith("0::/")
        assert tap.startswith("tap0")


@pytest.mark.lab
class TestAnySystemd(Promises):
    """Tests on a lab of each release."""

    @pytest.fixture
    def machine(self, any_systemd: Lab) -> Machine:
        fresh(any_systemd)
        return any_systemd

    def test_the_lab_runs_the_systemd_of_its_release(
        self, any_systemd: Lab, request: pytest.FixtureRequest
    ) -> None:
        release = request.node.callspec.params["any_systemd"]
        known = {"bullseye": 247, "bookworm": 252, "trixie": 257}
        assert (
            any_systemd.systemd == known[release]
            if release in known
            else any_systemd.systemd > max(known.values())
        )


@pytest.mark.vm
class TestVm(Promises):
    """Tests on the virtual machine."""

    @pytest.fixture
    def machine(self, vm: Vm) -> Machine:
        return vm


@pytest.mark.vm
class TestOlderVm(Promises):
    """Tests on the virtual machine of Debian 12."""

    @pytest.fixture
    def machine(self, older_vm: Vm) -> Machine:
        return older_vm
