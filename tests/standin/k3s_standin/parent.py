"""The parent: checks the host as K3s does, then runs rootlesskit.

Source: K3s pkg/rootless/rootless.go.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from . import faults, settings, supervisor, unpacking
from .flags import Flags
from .journal import Fatal, Journal
from .milestones import Milestones
from .orders import Orders
from .release import Release
from .settings import Settings

CHILD_MARK = "_K3S_STANDIN_CHILD"
"""Set for the command that rootlesskit runs, which removes it from its own environment."""
SYSCTLS = ("kernel.unprivileged_userns_clone", "net.ipv4.ip_forward")
_COPY_UP = ("/etc", "/var/run", "/run", "/var/lib")
_EVACUATION = "k3s_evac"


def start(arguments: list[str], flags: Flags, orders: Orders, journal: Journal) -> NoReturn:
    """Run rootlesskit, which runs this program again inside.

    Raises Fatal where the parent of K3s exits.
    """
    release = Release(orders.version, orders.commit)
    unpacking.unpack(flags.data_dir, journal, damaged=orders.damaged)
    rootless = make_directories(flags.data_dir)
    remove_ready_pipe(rootless)
    Milestones(flags.data_dir).mark("parent-started")
    if orders.die is not None and orders.die.get("where") == "parent":
        raise faults.ordered_death(orders.die)
    if release.validates_sysctls:
        validate_sysctls(Path("/proc/sys"))
    dual_stack = settings.is_dual_stack(flags.values("node-ip"))
    chosen = settings.read(os.environ, release, dual_stack=dual_stack, warn=journal.warning)
    if orders.check_copy_up:
        settings.check_copy_up(chosen.copy_up)
    if shutil.which("slirp4netns") is None:
        raise Fatal('exec: "slirp4netns": executable file not found in $PATH')
    state = rootless if release.fixed_state_directory else _random_directory()
    evacuate = can_evacuate(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"), journal)
    command = rootlesskit(chosen, state, evacuate=evacuate, getsubids=release.runs_getsubids)
    _run([*command, *_again(arguments)], state, nanoseconds=release.nanoseconds)


def make_directories(data_dir: Path) -> Path:
    """Create the data directory and DATA/rootless; return the latter."""
    rootless = data_dir / "rootless"
    try:
        rootless.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise Fatal(f"mkdir {error.filename}: {(error.strerror or '').lower()}") from None
    return rootless


def remove_ready_pipe(rootless: Path) -> None:
    """Remove the pipe that the port driver of rootlesskit creates at each start.

    Source: rootlesskit pkg/port/builtin/parent.
    """
    pipe = rootless / ".bp-ready.pipe"
    try:
        pipe.unlink(missing_ok=True)
    except OSError as error:
        raise Fatal(
            f"cannot remove {pipe}: unlinkat {pipe}: {(error.strerror or '').lower()}"
        ) from None


def _random_directory() -> Path:
    # os.MkdirTemp uses a decimal number where Python would use letters.
    directory = Path(tempfile.gettempdir()) / f"rootless{secrets.randbelow(2**32)}"
    directory.mkdir(mode=0o700)
    return directory


def validate_sysctls(root: Path) -> None:
    """Check the two sysctls of K3s, each only if the kernel has it."""
    for name in SYSCTLS:
        try:
            value = (root / name.replace(".", "/")).read_text().strip()
        except FileNotFoundError:
            continue
        if value != "1":
            raise Fatal(
                f'expected sysctl value "{name}" to be "1", got "{value}"; try adding "{name}=1" to'
                " /etc/sysctl.conf and running `sudo sysctl --system`"
            )


def can_evacuate(own: Path, mount: Path, journal: Journal) -> bool:
    """Return whether processes can be moved out of the unit's cgroup, and warn as K3s if not."""
    unified = [text[3:] for text in own.read_text().splitlines() if text.startswith("0::")]
    if not unified:
        journal.warning(
            "Enabling cgroup2 is highly recommended, see"
            " https://rootlesscontaine.rs/getting-started/common/cgroup2/"
        )
        return False
    if not os.access(mount / unified[0].lstrip("/"), os.W_OK):
        journal.warning("Cannot set cgroup2 evacuation, make sure to run k3s as a systemd unit")
        return False
    return True


def rootlesskit(chosen: Settings, state: Path, *, evacuate: bool, getsubids: bool) -> list[str]:
    """Return the command line with the same settings that K3s passes to rootlesskit's library."""
    command = [
        "rootlesskit",
        f"--state-dir={state}",
        "--net=slirp4netns",
        f"--mtu={chosen.mtu}",
        f"--cidr={chosen.cidr}",
        f"--port-driver={chosen.port_driver}",
        *(["--disable-host-loopback"] if chosen.disable_host_loopback else []),
        *(["--ipv6"] if chosen.ipv6 else []),
        *(f"--copy-up={path}" for path in _COPY_UP if not Path(path).is_symlink()),
        *(f"--copy-up={path}" for path in chosen.copy_up),
        *("--pidns", "--cgroupns", "--utsns", "--ipcns", "--reaper=true", "--propagation=rslave"),
        *([f"--evacuate-cgroup2={_EVACUATION}"] if evacuate else []),
    ]
    return command if getsubids else [*command, "--subid-source=static"]


def _again(arguments: list[str]) -> list[str]:
    # -P: the working directory of the unit is the user's home, and no module must be imported from
    # there.
    return [sys.executable, "-P", "-m", "k3s_standin", *arguments]


def _run(command: list[str], state: Path, *, nanoseconds: bool) -> NoReturn:
    binary = shutil.which(command[0])
    if binary is None:
        raise Fatal("the stand-in needs rootlesskit on its PATH")
    environment = child_environment(os.environ)
    supervisor.supervise(binary, command, environment, state=state, nanoseconds=nanoseconds)


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for rootlesskit and its child."""
    package = str(Path(__file__).parent.parent)
    search = [
        package,
        *(entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry),
    ]
    return {**environment, CHILD_MARK: "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(search))}
