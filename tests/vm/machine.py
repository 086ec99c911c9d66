"""Boot, control and stop virtual machines.

`Vm` is the `Machine` with the same cgroups as real hosts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Self

from tests import payload
from tests.debian import releases, trees
from tests.lab.orders import give_default_orders
from tests.machine import TOOL, USER, Completed, systemd_version
from tests.vm import image
from tests.vm.disk import payload_disk
from tests.vm.door import Door, new_run, send
from tests.vm.errors import VmError
from tests.vm.place import Place
from tests.vm.process import RemoteProcess
from tests.vm.qemu import Qemu

RELEASE = "trixie"
"""Debian release of a machine by default."""
STOCK = "stock"
"""Snapshot of the machine after boot, with the project installed and no user logged in."""

_PATIENCE = 180
_MEMORY = 2048
_MEMORY_FOR_K3S = 4096
_DELEGATE_CONF = "/etc/systemd/system/user@.service.d/delegate.conf"


class Vm:
    """Booted machine; as a context manager, it is taken down at the end."""

    name = "vm"
    delegates = True

    def __init__(self, tree: Path | None = None, release: str = RELEASE) -> None:
        self.plays_k3s = not os.environ.get("K3S_BINARY")
        self._image = image.build(releases.find(release))
        self._place = Place()
        self._user = Door(self.directory, USER)
        self._root = Door(self.directory, "root")
        try:
            disk = payload_disk(tree or payload.build(trees.tree(release)), self.directory)
            memory = _MEMORY if self.plays_k3s else _MEMORY_FOR_K3S
            self.hardware = Qemu(self._image, disk, self.directory, memory)
        except BaseException:
            self._place.clear()
            raise
        self._ports = self.hardware.ports()

    @classmethod
    def boot(cls, tree: Path | None = None, release: str = RELEASE) -> Self:
        """Boot a machine of `release` with `tree` (by default, the payload).

        The state after boot is saved as `STOCK`.
        """
        vm = cls(tree, release)
        try:
            vm.await_boot()
            give_default_orders(vm)
            # Load the tool into memory before the snapshot, because emulation reads it slowly.
            vm.user(TOOL, "--version")
            vm.save(STOCK)
        except BaseException:
            vm.down()
            raise
        return vm

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def directory(self) -> Path:
        """Directory of this machine on the host."""
        return self._place.path

    @cached_property
    def systemd(self) -> int:
        """Version of systemd in the machine, such as 257."""
        return systemd_version(self)

    def user(
        self,
        *args: str,
        timeout: float = 120,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run `args` in the only login session of the user."""
        if not self._user.is_open:
            self._open(self._user)
        run = new_run()
        try:
            return self._user.run(args, timeout=timeout, stdin=stdin, env=env or {}, run=run)
        except subprocess.TimeoutExpired:
            send(self._root, run, signal.SIGKILL, group=True)
            raise

    def root(self, *args: str, timeout: float = 120, stdin: str | None = None) -> Completed:
        """Run `args` as root, without a session."""
        if not self._root.is_open:
            self._open(self._root)
        return self._root.run(args, timeout=timeout, stdin=stdin, env={}, run="")

    def popen(self, *args: str) -> subprocess.Popen[str]:
        """Start `args` in the user's session; signals to the returned process reach the program."""
        if not self._user.is_open:
            self._open(self._user)
        return RemoteProcess(self._user, self._root, args)

    def login(self, *args: str) -> Completed:
        """Log in as the user again, run `args` (or nothing) in the new session, and log out."""
        door = Door(self.directory, USER, "another")
        self._open(door)
        try:
            return door.run(args or ("true",), timeout=120, stdin=None, env={}, run="")
        finally:
            door.close()

    def delegate(self, *controllers: str) -> None:
        """Configure, as an administrator would, which controllers user managers get.

        The change takes effect later: user managers do not have these controllers yet.
        """
        content = f"[Service]\nDelegate={' '.join(controllers)}\n"
        self.root(
            "install", "-D", "-m", "0644", "/dev/stdin", _DELEGATE_CONF, stdin=content
        ).check_returncode()
        self.root("systemctl", "daemon-reload").check_returncode()

    def save(self, name: str) -> None:
        """Save the state of the whole machine; this logs the user out and in again."""
        self._leave()
        self.hardware.save(name)
        self._enter()

    def restore(self, name: str = STOCK) -> None:
        """Restore a saved state, and set the clock to the present time."""
        self._leave()
        self.hardware.load(name)
        self._enter()

    def reboot(self) -> None:
        """Shut the machine down and boot it again."""
        before = self._boot_id()
        self.root("systemctl", "--no-block", "reboot")
        self.await_boot(before)

    def cut_power(self) -> None:
        """Cut the power and boot again: data that was not yet written to the disk is lost."""
        before = self._boot_id()
        self.hardware.reset()
        self.await_boot(before)

    def down(self) -> None:
        """Stop the machine, and remove everything except the cached image."""
        self._leave()
        self.hardware.stop()
        self._place.clear()

    def await_boot(self, before: str = "") -> None:
        """Wait until the machine is up, after its boot `before`."""
        self._leave()
        deadline = time.monotonic() + _PATIENCE
        self._open(self._root)
        while self._boot_id() in {before, ""}:
            if time.monotonic() > deadline:
                raise VmError(f"the machine does not boot again\n{self.hardware.end_of_output()}")
            self._leave()
            self._open(self._root)
        state = self.root(
            "systemctl", "is-system-running", "--wait", timeout=_PATIENCE
        ).stdout.strip()
        if state != "running":
            failed = self.root("systemctl", "--no-pager", "--plain", "--failed").stdout
            raise VmError(
                f"the state of the machine is {state}\n{failed}\n{self.hardware.end_of_output()}"
            )
        self._open(self._user)

    def _boot_id(self) -> str:
        return self.root("cat", "/proc/sys/kernel/random/boot_id").stdout

    def _leave(self) -> None:
        self._user.close()
        self._root.close()

    def _enter(self) -> None:
        self._open(self._root)
        # The clock of the machine stopped meanwhile.
        self.root("date", "--set", f"@{time.time():.3f}").check_returncode()
        self._open(self._user)

    def _open(self, door: Door) -> None:
        deadline = time.monotonic() + _PATIENCE

        def patient() -> bool:
            return time.monotonic() < deadline and self.hardware.process.poll() is None

        port = self._ports["root" if door is self._root else "user"]
        if not door.open(self._image, port, patient):
            raise VmError(f"the machine accepts no connection\n{self.hardware.end_of_output()}")
