"""Test session: a private bus in its own runtime directory, and the fake user manager on it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

PROJECT = Path(__file__).parents[2]
_CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


class Orders(TypedDict, total=False):
    """Orders for the fake user manager; without orders it behaves like systemd."""

    results: dict[str, str]
    """Result of the job of a method: `done`, `failed`, `timeout`, `canceled`, `dependency`."""
    job_after: float
    """Seconds from the reply to JobRemoved; negative: never; without it: before the reply."""
    lose_job_removed: bool
    """JobRemoved is lost."""
    errors: dict[str, tuple[str, str | None]]
    """Error that a method returns: its name and text; with None, the error has no body."""
    mute: list[str]
    """Methods that are never answered."""
    exit_at: str
    """Method that ends the manager when it is called."""
    leave_at: str
    """Method that makes the manager re-execute itself, at its first call.

    The manager carries out the call, but does not answer it.
    """
    exit_at_call: int
    """The manager exits at this call, counted from its start, whatever the method."""
    without: list[str]
    """Properties that this systemd does not have."""
    properties: dict[str, tuple[str, Any]]
    """Additional properties of a unit, with signature and value; they override its own."""
    deaf: bool
    """Reloads and changes of the environment are answered but not carried out."""
    effective: str
    """Controllers that a unit gets."""


def as_user(uid: int | None) -> list[str]:
    """Return the command prefix that runs a command as `uid`; empty if it is the present user."""
    if uid is None or uid == os.getuid():
        return []
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    if all(folder.stat().st_mode & 0o001 for folder in (PROJECT, *PROJECT.parents)):
        return become
    # The checkout may be below a directory that only root can read, such as /root. Programs that
    # run as the user must still be able to read it.
    return [*become, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


class Session:
    """Private bus (`runtime`/bus) and, once it is started, the fake manager."""

    def __init__(self, directory: Path, uid: int | None = None) -> None:
        self.directory = directory
        self.uid = uid
        self.runtime = directory / "runtime"
        self.units = directory / "units"
        self.mount = directory / "cgroup"
        self._world = ""
        for path in (directory, self.runtime, self.units, self.mount):
            path.mkdir(exist_ok=True)
            if uid is not None:
                os.chown(path, uid, uid)
        self._processes = contextlib.ExitStack()
        self.order()
        self.bus = self._start_bus()
        self.manager: subprocess.Popen[bytes] | None = None

    def _start_bus(self) -> subprocess.Popen[bytes]:
        file = self.directory / "bus.conf"
        file.write_text(_CONFIGURATION.format(socket=self.runtime / "bus"))
        bus = self._spawn(
            "dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", f"--config-file={file}"
        )
        _until((self.runtime / "bus").exists)
        return bus

    def start_manager(self) -> Self:
        """Start the fake manager on the bus."""
        address = f"unix:path={self.runtime / 'bus'}"
        self.manager = self._spawn(
            sys.executable, "-m", "tests.fakes.systemd", address, str(self.directory)
        )
        _until((self.directory / "ready").exists)
        return self

    def _spawn(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / "errors.log").open("ab") as log:
            process = subprocess.Popen(
                [*as_user(self.uid), *command], cwd=PROJECT, stdout=log, stderr=log
            )
        self._processes.callback(process.wait)
        self._processes.callback(process.kill)
        return process

    def order(self, **orders: Unpack[Orders]) -> None:
        """Replace the orders of the fake manager."""
        self._write_orders(dict(orders) | {"world": self._world})

    def reset(self) -> None:
        """Remove all units, orders and recorded calls."""
        self._world = uuid.uuid4().hex
        self.order()
        for path in sorted(self.units.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        (self.directory / "calls.jsonl").write_text("")

    def _write_orders(self, orders: dict[str, Any]) -> None:
        new = self.directory / "orders.new"
        new.write_text(json.dumps(orders))
        new.replace(self.directory / "orders.json")

    def calls(self) -> list[list[Any]]:
        """Return the method and arguments of each call, without reads of properties."""
        record = self.directory / "calls.jsonl"
        lines = record.read_text().splitlines() if record.exists() else []
        return [call for call in map(json.loads, lines) if call[0] not in {"Get", "GetAll"}]

    def signal_change(self) -> None:
        """Make the fake manager signal that units changed."""
        assert self.manager is not None
        self.manager.send_signal(signal.SIGUSR1)

    def kill_manager(self) -> None:
        """Kill the manager; the bus keeps running."""
        assert self.manager is not None
        self.manager.kill()
        self.manager.wait()

    def kill_bus(self) -> None:
        """Kill the bus, and so close every connection."""
        self.bus.kill()
        self.bus.wait()

    def restart_bus(self) -> None:
        """Start the bus again after it was killed, and a manager on it."""
        for path in (self.runtime / "bus", self.directory / "ready"):
            path.unlink(missing_ok=True)
        self.bus = self._start_bus()
        self.start_manager()

    def close(self) -> None:
        """Stop the manager and the bus."""
        self._processes.close()


def _until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.01)
    raise TimeoutError


@contextlib.contextmanager
def session(directory: Path, uid: int | None = None, *, manager: bool = True) -> Iterator[Session]:
    """Yield a session, and stop it at the end."""
    opened = Session(directory, uid)
    try:
        yield opened.start_manager() if manager else opened
    finally:
        opened.close()
