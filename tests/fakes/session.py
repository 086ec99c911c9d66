"""A session to test in: a private bus in a runtime directory of its own, and the fake user manager
on it.
"""

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
    """How the fake is to behave; without an order it behaves well."""

    results: dict[str, str]
    """The result of the job that a member makes: `done`, `failed`, `timeout`, `canceled`,
    `dependency`.
    """
    job_after: float
    """JobRemoved comes so many seconds after the reply, below 0 never; without it, before the
    reply.
    """
    unheard: bool
    """JobRemoved is lost."""
    errors: dict[str, tuple[str, str | None]]
    """The error that a member answers with; None is one without a body."""
    mute: list[str]
    """Members that are never answered."""
    die_at: str
    """The member at whose call the manager dies."""
    leave_at: str
    """The member at whose first call the manager does what is asked, and executes itself anew
    instead of answering.
    """
    die_at_call: int
    """The manager dies at so many calls after it was started, whatever they are."""
    without: list[str]
    """Properties that this systemd does not have."""
    properties: dict[str, tuple[str, Any]]
    """Properties, signature and value, that a unit has beside its own, or in their place."""
    deaf: bool
    """Reloads, and changes of the environment, are answered and not done."""
    effective: str
    """The controllers that a unit is given."""


def as_user(uid: int | None) -> list[str]:
    """Give the words before a command that make it run as `uid`; none where it does already."""
    if uid is None or uid == os.getuid():
        return []
    become = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    if all(folder.stat().st_mode & 0o001 for folder in (PROJECT, *PROJECT.parents)):
        return become
    # A checkout below a folder that is root's alone, such as /root: what is run there must be read
    # all the same.
    return [*become, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


class Session:
    """The private bus (`runtime`/bus), and once it is started, the fake manager."""

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
        """Put the fake manager on the bus."""
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
        """Give the fake its orders, in place of the earlier ones."""
        self._write_orders(dict(orders) | {"world": self._world})

    def reset(self) -> None:
        """Forget units, orders and calls."""
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
        """Give the calls that the fake heard, each as its member and arguments; questions for
        properties are left out.
        """
        record = self.directory / "calls.jsonl"
        lines = record.read_text().splitlines() if record.exists() else []
        return [call for call in map(json.loads, lines) if call[0] not in {"Get", "GetAll"}]

    def signal_change(self) -> None:
        """Let the fake tell that units changed."""
        assert self.manager is not None
        self.manager.send_signal(signal.SIGUSR1)

    def kill_manager(self) -> None:
        """Kill the manager; the bus stays."""
        assert self.manager is not None
        self.manager.kill()
        self.manager.wait()

    def kill_bus(self) -> None:
        """Kill the bus, and so every connection."""
        self.bus.kill()
        self.bus.wait()

    def restart_bus(self) -> None:
        """Start the bus again after it was killed, and a manager on it."""
        for path in (self.runtime / "bus", self.directory / "ready"):
            path.unlink(missing_ok=True)
        self.bus = self._start_bus()
        self.start_manager()

    def close(self) -> None:
        """End both."""
        self._processes.close()


def _until(true: Callable[[], bool]) -> None:
    for _ in range(2000):
        if true():
            return
        time.sleep(0.01)
    raise TimeoutError


@contextlib.contextmanager
def session(directory: Path, uid: int | None = None, *, manager: bool = True) -> Iterator[Session]:
    """Give a session, and end it."""
    opened = Session(directory, uid)
    try:
        yield opened.start_manager() if manager else opened
    finally:
        opened.close()
