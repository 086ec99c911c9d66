"""Description of a host fault, and the steps that inject and remove faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.causes import both, no_drop_in, nothing, order, root
from tests.e2e.conftest import Tool
from tests.machine import HOME, UID, USER
from tests.vm.machine import Vm

Step = Callable[[Tool], None]
LAB, VMS = frozenset({"lab"}), frozenset({"trixie", "bookworm"})
"""Machines by their names on the page: a lab, and virtual machines of two Debian releases."""
DATA = HOME / ".rancher/k3s"


@dataclass(frozen=True)
class Exits:
    """K3s exits: systemd reports it, and the last line of K3s contains this text."""

    text: str


@dataclass(frozen=True)
class Waits:
    """K3s waits forever, or continues without a feature, and its journal contains this text."""

    text: str


@dataclass(frozen=True)
class Lacks:
    """K3s starts, but a command in its namespaces fails, which succeeds after the fix."""

    command: str
    effect: str


@dataclass(frozen=True)
class Refused:
    """Systemd refuses to start K3s, with a message that contains this text."""

    text: str


@dataclass(frozen=True)
class Unseen:
    """The stand-in cannot show the effect on K3s, for this reason."""

    reason: str


@dataclass(frozen=True)
class Fault:
    """Host fault: `check` reports it, K3s `shows` it, and `clean` removes all that is left.

    The expected finding has `verdict` and `fixable_by`. The script fixes faults for an
    administrator, and the printed commands those for the user. If neither is possible, `manual`
    gives the reason, and `manual_fix` fixes the fault. `before` brings a virtual machine into the
    state in which the fault begins.
    """

    id: str
    what: str
    check: str
    fixable_by: str
    breaks: Step
    clean: Step
    shows: Exits | Waits | Lacks | Refused | Unseen
    verdict: str = "fail"
    manual: str = ""
    manual_fix: Step = nothing
    before: Step = nothing
    machines: frozenset[str] = LAB | VMS

    def __str__(self) -> str:
        return self.id


def program(name: str) -> tuple[Step, Step]:
    """Return the steps that remove a program and restore it."""
    away = (
        f"path=$(readlink -f $(command -v {name})); mv $path /root/{name}; echo $path >"
        f" /root/{name}.path"
    )
    return root(away), root(f"test ! -e /root/{name} || mv /root/{name} $(cat /root/{name}.path)")


def freed(port: int) -> Step:
    """Return a step that ends the program that `ways.hold` started on a port, if it is running."""

    def step(tool: Tool) -> None:
        tool.machine.user("systemctl", "--user", "stop", f"holder-{port}")

    return step


def mounted(options: str) -> tuple[Step, Step]:
    """Return the steps that mount, and unmount, a file system with these options for the data."""
    made = (
        f"runuser -u {USER} -- mkdir -p {DATA}; mount -t tmpfs -o uid={UID},mode=700,{options}"
        f" tmpfs {DATA}"
    )
    return root(made), both(
        root(f"umount {DATA} 2>/dev/null || true; rm -rf /var/tmp/{USER}"), no_drop_in
    )


def restored(*controllers: str) -> Step:
    """Return a step that restores a virtual machine and configures these controllers.

    The controllers are configured but not realized. K3s is installed, as for all faults.
    """

    def step(tool: Tool) -> None:
        assert isinstance(tool.machine, Vm)
        tool.machine.restore()
        order()(tool)
        tool("install").check_returncode()
        if controllers:
            tool.machine.delegate(*controllers)

    return step


def log_in(tool: Tool) -> None:
    """Log in again: systemd realizes the configuration, and the running manager does not notice."""
    assert isinstance(tool.machine, Vm)
    tool.machine.login().check_returncode()
