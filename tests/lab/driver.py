"""Boot, control and stop labs.

`Lab` is the `Machine` that needs root and about a second, but no virtual machine.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Self

from tests import payload
from tests.debian import trees
from tests.lab import cgroups, host
from tests.lab.boot import Holder, boot, pid_of_systemd
from tests.lab.errors import LabError
from tests.lab.orders import give_default_orders
from tests.lab.site import Site, one_at_a_time, sweep
from tests.machine import HOME, RUNTIME_DIR, UID, USER, Completed, systemd_version

_ENTER = Path(__file__).with_name("enter.py")
_ROOT = "root:0:0:/"
_USER = f"{USER}:{UID}:{UID}:{HOME}"
_ROOT_ENVIRONMENT = {
    "HOME": "/root",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
    "LANG": "C.UTF-8",
}
_USER_ENVIRONMENT = {
    "HOME": str(HOME),
    "USER": USER,
    "LOGNAME": USER,
    "SHELL": "/bin/bash",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "XDG_RUNTIME_DIR": str(RUNTIME_DIR),
    "DBUS_SESSION_BUS_ADDRESS": f"unix:path={RUNTIME_DIR}/bus",
}


class Lab:
    """Booted lab; as a context manager, it is taken down at the end."""

    name = "lab"

    def __init__(self, site: Site, holder: Holder | None = None) -> None:
        self.site = site
        self._holder = holder
        self._pid_1 = pid_of_systemd(site)
        self.lacking = cgroups.lacking(site.cgroup)
        self.delegates = not self.lacking
        self.plays_k3s = not (site.state / "real-k3s").exists()

    @classmethod
    def up(
        cls,
        label: str | None = None,
        *,
        release: str | None = None,
        tree: Path | None = None,
        stay: bool = False,
    ) -> Lab:
        """Boot a lab with `tree` (by default, the payload).

        The lab ends with the calling thread unless `stay` is set. Its root file system is that of
        the Debian `release`, else `$ROOTFS`, else that of the host. Labs of dead drivers are
        cleared first.
        """
        lower = trees.tree(release) if release else Path(os.environ.get("ROOTFS", "/"))
        host.require(lower)
        contents = tree or payload.build(lower)
        site = Site(label or f"pid-{os.getpid()}")
        with one_at_a_time():
            sweep()
            site.claim()
            try:
                # Until the holder is recorded, the site looks like one that a dead driver left. The
                # lock prevents other drivers from clearing it.
                holder = boot(site, lower, contents, stay=stay)
            except BaseException:
                site.clear()
                raise
        try:
            holder.wait_until_ready()
            lab = cls(site, holder)
            lab.welcome()
        except BaseException:
            holder.process.kill()
            cls.clear(site.label)
            holder.process.wait()
            raise
        return lab

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @classmethod
    def find(cls, label: str) -> Lab:
        """Return the lab `label`, which was booted with `stay`."""
        site = Site(label)
        if not site.settled():
            raise LabError(f"no lab named {label} is running")
        return cls(site)

    @staticmethod
    def clear(label: str) -> None:
        """Take down the lab `label`, or clear what is left of it."""
        with one_at_a_time():
            Site(label).clear()

    def welcome(self) -> None:
        """Write the default orders for the stand-in, and print which controllers are missing."""
        if self.lacking:
            sys.stderr.write(
                f"lab {self.site.label}: this host does not provide {', '.join(self.lacking)}"
                " in cgroup v2: delegation of controllers cannot work here, and the K3s stand-in"
                " does not require it\n"
            )
        give_default_orders(self)

    @cached_property
    def systemd(self) -> int:
        """Version of systemd in the lab, such as 257."""
        return systemd_version(self)

    def user(
        self,
        *args: str,
        timeout: float = 120,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run `args` as the user, in a login session."""
        return _run(self._as_user(args, env), timeout, stdin)

    def root(self, *args: str, timeout: float = 120, stdin: str | None = None) -> Completed:
        """Run `args` as root."""
        return _run(self._as_root(args), timeout, stdin)

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Start `args` as the user; signals to the returned process reach the program."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._as_user(args), stdin=pipe, stdout=pipe, stderr=pipe, text=True, env={}
        )

    def at_terminal(self, terminal: int, *args: str) -> subprocess.Popen[bytes]:
        """Start `args` as the user on a terminal of the caller."""
        return subprocess.Popen(
            self._as_user(args), stdin=terminal, stdout=terminal, stderr=terminal, env={}
        )

    def attached(self, *args: str, as_root: bool = False) -> int:
        """Run `args` on the terminal or files of the caller, and return the exit status."""
        here = {
            name: os.environ[name] for name in ("TERM", "NO_COLOR", "COLUMNS") if name in os.environ
        }
        command = self._as_root(args, here) if as_root else self._as_user(args, here)
        process = subprocess.Popen(command, env={})
        while True:
            # An interrupt at the terminal is meant for the program, which decides whether to end.
            with suppress(KeyboardInterrupt):
                return process.wait()

    def install(self, program: Path, name: str) -> None:
        """Install a program of the host into /usr/local/bin of the lab."""
        place = Path(f"/proc/{self._pid_1}/root/usr/local/bin", name)
        shutil.copyfile(program, place)
        place.chmod(0o755)

    def log_in_again(self) -> None:
        """End the user's login and log in again, so that an administrator's changes take effect."""
        self.root("systemctl", "restart", "lab-login.service").check_returncode()

    def down(self) -> None:
        """End every process of the lab, and remove everything from the host."""
        self.clear(self.site.label)
        if self._holder:
            self._holder.process.wait()

    def _as_user(self, args: tuple[str, ...], env: Mapping[str, str] | None = None) -> list[str]:
        sessions = self.site.cgroup.glob(f"user.slice/user-{UID}.slice/session-*.scope")
        return self._command(next(sessions, None), _USER, _USER_ENVIRONMENT | dict(env or {}), args)

    def _as_root(self, args: tuple[str, ...], env: Mapping[str, str] | None = None) -> list[str]:
        return self._command(None, _ROOT, _ROOT_ENVIRONMENT | dict(env or {}), args)

    def _command(
        self, cgroup: Path | None, who: str, environment: Mapping[str, str], args: tuple[str, ...]
    ) -> list[str]:
        place = cgroup or self.site.cgroup / "init.scope"
        pairs = [f"{name}={value}" for name, value in environment.items()]
        enter = [sys.executable, "-I", "-S", str(_ENTER), str(self._pid_1), str(place), who]
        return [*enter, *pairs, "--", *args]


def _run(command: list[str], timeout: float, stdin: str | None) -> Completed:
    # Programs can print bytes that are not UTF-8. They become replacement characters.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={},
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin, timeout)
    except BaseException:
        # Kill the whole process group: children of the program also keep the pipes open.
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(
        command[command.index("--") + 1 :], process.returncode, out, err
    )
