"""Fake user manager on a private bus.

It runs as a separate process: `python -m tests.fakes.systemd ADDRESS DIRECTORY`.

The fake is strict where systemd is strict: a unit file takes effect only after `Reload`, signals go
only to subscribers, and a unit that is not loaded cannot be started. It reads
`DIRECTORY/orders.json` (tests.fakes.session.Orders) at each call, and records the calls in
`calls.jsonl`. `units/` holds the unit files and `cgroup/` the control groups. At SIGUSR1 it signals
to subscribers that units changed.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

# Makes dbus-next importable on Python 3.15.
from k3s_rootless.service.systemd import bus as _shim  # noqa: F401

from dbus_next import Message, MessageType, Variant  # isort: skip
from dbus_next.aio import MessageBus  # isort: skip

from tests.fakes.unit import NAME, Refusal, Unit, no_such_unit, object_path, variants, wants

ROOT = "/org/freedesktop/systemd1"
SLICE = "/user.slice/user-1500.slice/user@1500.service"
_BOUNDARY = re.compile(r"(?<!^)(?=[A-Z])")
JOBS = {
    "StartUnit": "start",
    "StopUnit": "stop",
    "RestartUnit": "restart",
    "StartTransientUnit": "start",
}


class Manager:
    """State of the manager, which is kept across a re-execution and hence across connections."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.world = ""
        self.orders: dict[str, Any] = {}
        self.units: dict[str, Unit] = {}
        self.subscribers: set[str] = set()
        self.environment = {"HOME": "/home/alice"}
        self.jobs = self.calls = 0
        self.running: set[int] = set()
        self.later: set[asyncio.Task[None]] = set()
        self.bus: Any = None
        self.reexecuting = False
        self.left = ""

    def answer(self, message: Message) -> Message | bool | None:
        """Answer a call; True means that no answer is sent."""
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        self._read_orders()
        with (self.directory / "calls.jsonl").open("a") as calls:
            calls.write(json.dumps([message.member, *_plain(message.body)]) + "\n")
        self.calls += 1
        if message.member == self.orders.get("exit_at") or self.calls == self.orders.get(
            "exit_at_call"
        ):
            os._exit(1)
        if message.member in self.orders.get("mute", ()):
            return True
        leaves = message.member == self.orders.get("leave_at") != self.left
        try:
            answer = self._answer(message)
        except Refusal as error:
            refusal = Message.new_error(message, error.name, error.text or "")
            if error.text is None:
                refusal.signature, refusal.body = "", []
            return refusal
        if leaves:
            self.left = str(message.member)
            self.reexecute(message)
        return True if leaves else answer

    def _answer(self, message: Message) -> Message | bool:
        if refused := self.orders.get("errors", {}).get(message.member):
            raise Refusal(*refused)
        answer: Message | bool = getattr(self, _BOUNDARY.sub("_", message.member).lower())(message)
        return answer

    def get(self, message: Message) -> Message:
        name = message.body[1]
        return Message.new_method_return(message, "v", [self._properties(message.path)[name]])

    def get_all(self, message: Message) -> Message | bool:
        # systemd loads a unit when a caller reads it by its path
        # (manager_load_unit_from_dbus_path).
        if message.path != ROOT and all(unit.path != message.path for unit in self.units.values()):
            if "LoadUnit" in self.orders.get("mute", ()):
                return True
            self._unit(
                re.sub(
                    r"_([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), Path(message.path).name
                )
            )
        return Message.new_method_return(message, "a{sv}", [self._properties(message.path)])

    def subscribe(self, message: Message) -> Message:
        if message.sender in self.subscribers:
            raise Refusal(f"{NAME}.AlreadySubscribed", "Client is already subscribed.")
        self.subscribers.add(message.sender)
        return Message.new_method_return(message)

    def reload(self, message: Message) -> Message:
        for unit in () if self.orders.get("deaf") else self.units.values():
            unit.load()
        return Message.new_method_return(message)

    def unset_and_set_environment(self, message: Message) -> Message:
        gone, given = message.body
        if not self.orders.get("deaf"):
            kept = {name: value for name, value in self.environment.items() if name not in gone}
            self.environment = kept | dict(one.split("=", 1) for one in given)
        return Message.new_method_return(message)

    def load_unit(self, message: Message) -> Message:
        return Message.new_method_return(message, "o", [self._unit(message.body[0]).path])

    def get_unit(self, message: Message) -> Message:
        if message.body[0] not in self.units:
            raise no_such_unit(message.body[0], "loaded")
        return Message.new_method_return(message, "o", [object_path(message.body[0])])

    def enable_unit_files(self, message: Message) -> Message:
        ((name,), _, _) = message.body
        link, target = self._enabled_link(name), self.directory / "units" / name
        if not target.exists():
            raise Refusal("org.freedesktop.DBus.Error.FileNotFound", f"Unit {name} does not exist")
        link.parent.mkdir(exist_ok=True)
        if link.is_symlink():
            return Message.new_method_return(message, "ba(sss)", [True, []])
        link.symlink_to(target)
        return Message.new_method_return(
            message, "ba(sss)", [True, [["symlink", str(link), str(target)]]]
        )

    def disable_unit_files(self, message: Message) -> Message:
        link = self._enabled_link(message.body[0][0])
        changes = [["unlink", str(link), ""]] if link.is_symlink() else []
        link.unlink(missing_ok=True)
        return Message.new_method_return(message, "a(sss)", [changes])

    def reset_failed_unit(self, message: Message) -> Message:
        if message.body[0] not in self.units:
            raise no_such_unit(message.body[0], "loaded")
        unit = self.units[message.body[0]]
        if unit.active == "failed":
            unit.active, unit.sub, unit.result, unit.restarts = "inactive", "dead", "success", 0
        if unit.transient and unit.active == "inactive":
            del self.units[unit.name]
        return Message.new_method_return(message)

    def get_job(self, message: Message) -> Message:
        number = message.body[0]
        if number not in self.running:
            raise Refusal(f"{NAME}.NoSuchJob", f"Job {number} does not exist.")
        return Message.new_method_return(message, "o", [f"{ROOT}/job/{number}"])

    def start_unit(self, message: Message) -> Message:
        return self._job(message, self._unit(message.body[0]))

    stop_unit = restart_unit = start_unit

    def start_transient_unit(self, message: Message) -> Message:
        name = message.body[0]
        if name in self.units and self.units[name].load_state != "not-found":
            raise Refusal(
                f"{NAME}.UnitExists", f"Unit {name} was already loaded or has a fragment file."
            )
        _, _, properties, others = message.body
        for other, given in ((name, properties), *others):
            self.units[other] = Unit(other, self.directory, transient=True)
            self.units[other].given = {key: (one.signature, one.value) for key, one in given}
            if other != name:
                self.units[other].became("start", "done", SLICE, "")
        unit = self.units[name]
        settings = {key: value for key, (_, value) in unit.given.items()}
        unit.once = settings.get("Type") == "oneshot"
        if unit.once:
            return self._job(message, unit, self._run_once(settings))
        return self._job(message, unit)

    def _run_once(self, settings: dict[str, Any]) -> str:
        """Run the program of a oneshot unit, with its variables; return the result of its job."""
        given = dict(one.split("=", 1) for one in settings["Environment"])
        ((_, argv, _),) = settings["ExecStart"]
        environ = self.environment | given
        words = [Template(word).safe_substitute(environ) for word in argv]
        done = subprocess.run(words, env=environ, check=False)
        return "failed" if done.returncode else "done"

    def reexecute(self, _: Message) -> bool:
        self.reexecuting = True
        self.subscribers.clear()  # as in some versions of systemd
        asyncio.get_running_loop().call_soon(self.bus.disconnect)
        return True

    def changed(self) -> None:
        """Signal to subscribers that each unit changed."""
        for unit in self.units.values():
            self._signal_change(unit)

    def _job(self, message: Message, unit: Unit, ended: str = "done") -> Message:
        if message.member != "StopUnit":
            unit.require_startable()
        self.jobs += 1
        job, number = f"{ROOT}/job/{self.jobs}", self.jobs
        self.running.add(number)
        result = self.orders.get("results", {}).get(message.member, ended)
        after = self.orders.get("job_after")
        if after is None:
            self._end_job(number, job, unit, JOBS[message.member], result)
        elif after >= 0:
            task = asyncio.ensure_future(
                self._end_later(after, number, job, unit, JOBS[message.member], result)
            )
            self.later.add(task)
        return Message.new_method_return(message, "o", [job])

    async def _end_later(
        self, seconds: float, number: int, job: str, unit: Unit, verb: str, result: str
    ) -> None:
        await asyncio.sleep(seconds)
        self._end_job(number, job, unit, verb, result)

    def _end_job(self, number: int, job: str, unit: Unit, verb: str, result: str) -> None:
        self.running.discard(number)
        unit.became(verb, result, SLICE, self.orders.get("effective", ""))
        self._signal_change(unit)
        if unit.transient and (verb == "stop" or (unit.once and result == "done")):
            self.units.pop(unit.name, None)
        if self.orders.get("lose_job_removed"):
            return
        # The job of another unit ends first, as can happen in practice.
        self._signal(
            ROOT,
            f"{NAME}.Manager",
            "JobRemoved",
            "uoss",
            [0, f"{ROOT}/job/0", "other.service", "failed"],
        )
        self._signal(
            ROOT, f"{NAME}.Manager", "JobRemoved", "uoss", [number, job, unit.name, result]
        )

    def _signal_change(self, unit: Unit) -> None:
        if self.subscribers:
            changed = [f"{NAME}.Unit", {"ActiveState": Variant("s", unit.active)}, []]
            self._signal(
                unit.path,
                "org.freedesktop.DBus.Properties",
                "PropertiesChanged",
                "sa{sv}as",
                changed,
            )

    def _signal(
        self, path: str, interface: str, member: str, signature: str, body: list[Any]
    ) -> None:
        if self.reexecuting:
            return  # no connection to send it on
        self.bus.send(Message.new_signal(path, interface, member, signature, body))

    def _unit(self, name: str) -> Unit:
        if name not in self.units:
            self.units[name] = Unit(name, self.directory)
        return self.units[name]

    def _enabled_link(self, name: str) -> Path:
        return self.directory / "units" / wants(name) / name

    def _properties(self, path: str) -> dict[str, Variant]:
        if path == ROOT:
            known: dict[str, tuple[str, Any]] = {
                "Version": ("s", "257.13-1~deb13u1"),
                "ControlGroup": ("s", SLICE),
                "Environment": (
                    "as",
                    [f"{name}={value}" for name, value in self.environment.items()],
                ),
                "UnitPath": (
                    "as",
                    [str(self.directory / "user.control"), str(self.directory / "units")],
                ),
            }
        else:
            unit = next(unit for unit in self.units.values() if unit.path == path)
            known = unit.properties()
            known |= {
                name: tuple(value) for name, value in self.orders.get("properties", {}).items()
            }
        return variants(
            {
                name: value
                for name, value in known.items()
                if name not in self.orders.get("without", ())
            }
        )

    def _read_orders(self) -> None:
        self.orders = json.loads((self.directory / "orders.json").read_text())
        if self.orders["world"] != self.world:
            self.world = self.orders["world"]
            self.units, self.subscribers, self.left = {}, set(), ""
            self.environment = {"HOME": "/home/alice"}


def _plain(body: list[Any]) -> list[Any]:
    return [
        part if isinstance(part, str | int | bool) else [str(one) for one in part] for part in body
    ]


async def serve(address: str, directory: Path) -> None:
    """Serve until the bus is closed; after a re-execution, connect again."""
    manager = Manager(directory)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, manager.changed)
    while True:
        manager.bus = await MessageBus(bus_address=address).connect()
        manager.bus.add_message_handler(manager.answer)
        await manager.bus.request_name(NAME)
        if not manager.reexecuting:
            (directory / "ready").touch()
        manager.reexecuting = False
        try:
            await manager.bus.wait_for_disconnect()
        except (EOFError, OSError):
            return
        if not manager.reexecuting:
            return
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))
