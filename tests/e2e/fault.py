"""What a fault of a host is described by, and the steps that bring faults about and take them
away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.causes import both, no_drop_in, nothing, order, root
from tests.e2e.conftest import Tool
from tests.machine import HOME, UID, USER
from tests.vm.machine import Vm

Step = Callable[[Tool], None]
LAB, VMS = frozenset({"lab"}), frozenset({"trixie", "bookworm"})
"""The machines by the names that the page has for them: a lab, and virtual machines of two Debian
releases.
"""
DATA = HOME / ".rancher/k3s"


@dataclass(frozen=True)
class Dies:
    """K3s dies of it: systemd says so, and its last line holds these words."""

    words: str


@dataclass(frozen=True)
class Waits:
    """K3s waits without end, or goes on without something, and its journal says so in these
    words.
    """

    words: str


@dataclass(frozen=True)
class Lacks:
    """K3s starts, and a command in its namespaces fails, which does not when the fault is
    mended.
    """

    command: str
    means: str


@dataclass(frozen=True)
class Refused:
    """Systemd refuses to start it, in these words."""

    words: str


@dataclass(frozen=True)
class Unseen:
    """What K3s makes of it cannot be shown by a stand-in: why not."""

    reason: str


@dataclass(frozen=True)
class Fault:
    """A fault: `check` names it with `verdict` and `mender`, K3s `shows` it, and `clean` takes away
    whatever is left.

    An administrator's is mended by the script, the user's by its commands as they are printed;
    `by_hand` says why not, and then `hand` mends. `before` puts a virtual machine into the state
    that the fault begins in.
    """

    id: str
    what: str
    check: str
    mender: str
    breaks: Step
    clean: Step
    shows: Dies | Waits | Lacks | Refused | Unseen
    verdict: str = "fail"
    by_hand: str = ""
    hand: Step = nothing
    before: Step = nothing
    machines: frozenset[str] = LAB | VMS

    def __str__(self) -> str:
        return self.id


def program(name: str) -> tuple[Step, Step]:
    """Give the steps that take a program away and bring it back."""
    away = (
        f"path=$(readlink -f $(command -v {name})); mv $path /root/{name}; echo $path >"
        f" /root/{name}.path"
    )
    return root(away), root(f"test ! -e /root/{name} || mv /root/{name} $(cat /root/{name}.path)")


def freed(port: int) -> Step:
    """End the program that `ways.hold` lets listen at a port, where it still does."""

    def step(tool: Tool) -> None:
        tool.machine.user("systemctl", "--user", "stop", f"holder-{port}")

    return step


def mounted(options: str) -> tuple[Step, Step]:
    """Give the steps that mount a file system of this kind for K3s's data, and take it away."""
    made = (
        f"runuser -u {USER} -- mkdir -p {DATA}; mount -t tmpfs -o uid={UID},mode=700,{options}"
        f" tmpfs {DATA}"
    )
    return root(made), both(
        root(f"umount {DATA} 2>/dev/null || true; rm -rf /var/tmp/{USER}"), no_drop_in
    )


def restored(*controllers: str) -> Step:
    """Take a virtual machine back to the state in which it was booted, with these controllers
    configured but not realized.

    K3s is installed there, as it is wherever a fault is injected.
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
    """Log in once more, which makes systemd realize what is configured, and the running manager
    does not notice.
    """
    assert isinstance(tool.machine, Vm)
    tool.machine.login().check_returncode()
