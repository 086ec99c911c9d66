"""The user manager, `systemd --user`, over D-Bus: a synchronous face on asynchronous calls.

Low-level messages and GetAll are used, without introspection: proxies differ by systemd's version, and a property may come or
go (systemd 247 to 262). A signal is subscribed to before the call that causes it, so none can be missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from k3s_rootless.errors import BusError, SystemdError
from k3s_rootless.service import bus as wire
from k3s_rootless.service import properties
from k3s_rootless.service.facts import UnitState

_SYSTEMD = "org.freedesktop.systemd1"
_ROOT = "/org/freedesktop/systemd1"
_MANAGER = (_SYSTEMD, _ROOT, f"{_SYSTEMD}.Manager")
_PROPERTIES = "org.freedesktop.DBus.Properties"
RELOAD_SECONDS = 60.0
JOB_SECONDS = 90.0


class UserManager:
    """One connection to the user manager; use it as a context."""

    def __init__(self, environ: Mapping[str, str], runtime: Path, uid: int) -> None:
        self._addresses = wire.user_bus_addresses(environ, runtime)
        self._uid = uid
        self._runner = asyncio.Runner()
        self._changed = asyncio.Event()
        self._jobs: dict[str, str] = {}
        self._owner_changes = 0
        self._bus: wire.Bus | None = None
        self._own: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._runner.run(self._open())
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bus is not None:
            self._runner.run(self._bus.close())
        self._runner.close()

    async def _open(self) -> None:
        problem: BusError | None = None
        for address in self._addresses:
            try:
                self._bus = await wire.connect([address], self._uid)
                self._own = await self._get_all(_ROOT, f"{_SYSTEMD}.Manager")
            except BusError as error:
                # A bus without systemd on it (dbus-run-session) is not the user manager's: try the next.
                problem = problem or error
                if self._bus is not None:
                    await self._bus.close()
                self._bus = None
            else:
                return
        assert problem is not None  # noqa: S101 (there is always an address)
        raise BusError(
            f"cannot talk to the user manager: {problem.message}", hint="log in directly, or see `k3s-rootless check`"
        )

    @property
    def version(self) -> str:
        """How systemd spells its version, such as `257.13-1~deb13u1`."""
        return str(self._own.get("Version", "of unknown version"))

    @property
    def control_group(self) -> str:
        """The control group of the manager, such as `/user.slice/user-1000.slice/user@1000.service`."""
        return str(self._own.get("ControlGroup", ""))

    @property
    def unit_path(self) -> tuple[Path, ...]:
        """Where this manager looks for units, first come first served."""
        return tuple(Path(path) for path in self._own.get("UnitPath", ()))

    def unit(self, name: str) -> UnitState:
        """Load a unit if need be, and give what the manager knows of it."""
        return self._runner.run(self._unit(name))

    def watch(self, name: str) -> None:
        """From now on, let `wait_change` end when something about this unit changes."""
        self._runner.run(self._watch(name))

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the watched unit; tell whether there was one."""
        return self._runner.run(self._wait_change(seconds))

    def reload(self) -> None:
        """Read all unit files anew."""
        self._call("Reload", seconds=RELOAD_SECONDS)

    def enable(self, name: str) -> None:
        """Make the unit start with the user manager."""
        self._call("EnableUnitFiles", "asbb", [[name], False, False])

    def disable(self, name: str) -> None:
        """Stop making the unit start with the user manager."""
        self._call("DisableUnitFiles", "asb", [[name], False])

    def reset_failed(self, name: str) -> None:
        """Forget that the unit failed, and the count of its starts."""
        self._call("ResetFailedUnit", "s", [name])

    def start(self, name: str) -> None:
        """Start the unit; ends when systemd's job has ended, which is not when K3s is ready. Raises SystemdError."""
        self._job("StartUnit", "start", name)

    def stop(self, name: str, seconds: float = JOB_SECONDS) -> None:
        """Stop the unit and wait until its processes are gone."""
        self._job("StopUnit", "stop", name, seconds)

    def restart(self, name: str) -> None:
        """Stop and start the unit."""
        self._job("RestartUnit", "restart", name)

    def reexecute(self) -> None:
        """Let the manager execute itself anew, keeping its units running; it then sees controllers that it got since."""
        self._runner.run(self._reexecute())

    def start_transient(self, name: str, settings: Mapping[str, tuple[str, Any]]) -> UnitState:
        """Start a transient unit; `settings` maps a property to its D-Bus signature and value."""
        body = [name, "fail", [[key, wire.Variant(kind, value)] for key, (kind, value) in settings.items()], []]
        self._runner.run(self._run_job("StartTransientUnit", "ssa(sv)a(sa(sv))", body, JOB_SECONDS))
        return self.unit(name)

    def _call(
        self, member: str, signature: str = "", body: list[Any] | None = None, seconds: float = wire.CALL_SECONDS
    ) -> None:
        self._runner.run(self._request(_MANAGER, member, signature, body or [], seconds))

    def _job(self, member: str, verb: str, name: str, seconds: float = JOB_SECONDS) -> None:
        try:
            result = self._runner.run(self._run_job(member, "ss", [name, "replace"], seconds))
        except SystemdError as error:
            raise SystemdError(f"cannot {verb} `{name}`: {error.message}", name=error.name, hint=error.hint) from error
        if result != "done":
            hint = "see `k3s-rootless status` and `k3s-rootless logs`"
            raise SystemdError(f"cannot {verb} `{name}`: systemd's job ended with `{result}`", name=result, hint=hint)

    async def _request(
        self, to: tuple[str, str, str], member: str, signature: str, body: list[Any], seconds: float = wire.CALL_SECONDS
    ) -> list[Any]:
        if self._bus is None:
            raise BusError("there is no connection to the user manager")
        return await self._bus.request(to, member, signature, body, seconds)

    async def _get_all(self, path: str, interface: str = "") -> Mapping[str, Any]:
        (values,) = await self._request((_SYSTEMD, path, _PROPERTIES), "GetAll", "s", [interface])
        return {name: variant.value for name, variant in values.items()}

    async def _unit(self, name: str) -> UnitState:
        (path,) = await self._request(_MANAGER, "LoadUnit", "s", [name])
        return properties.unit_state(name, await self._get_all(path))

    async def _watch(self, name: str) -> None:
        (path,) = await self._request(_MANAGER, "LoadUnit", "s", [name])
        await self._request(_MANAGER, "Subscribe", "", [])
        await self._listen(f"type='signal',sender='{_SYSTEMD}',interface='{_PROPERTIES}',path='{path}'", self._note_change)

    async def _listen(self, rule: str, handler: wire.Handler) -> None:
        if self._bus is None:
            raise BusError("there is no connection to the user manager")
        await self._bus.watch(rule, handler)

    def _note_change(self, message: wire.Message) -> None:
        if message.member == "PropertiesChanged":
            self._changed.set()

    def _note_job(self, message: wire.Message) -> None:
        if message.member == "JobRemoved" and len(message.body) == 4:
            self._jobs[message.body[1]] = message.body[3]
            self._changed.set()

    def _note_owner(self, message: wire.Message) -> None:
        if message.member == "NameOwnerChanged" and message.body[:1] == [_SYSTEMD] and message.body[2]:
            self._owner_changes += 1
            self._changed.set()

    async def _wait_change(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._changed.wait(), seconds)
        except TimeoutError:
            if self._bus is not None and not self._bus.connected:
                raise BusError("the bus closed the connection") from None
            return False
        self._changed.clear()
        return True

    async def _run_job(self, member: str, signature: str, body: list[Any], seconds: float) -> str:
        rule = f"type='signal',sender='{_SYSTEMD}',interface='{_SYSTEMD}.Manager',member='JobRemoved'"
        await self._listen(rule, self._note_job)
        (job,) = await self._request(_MANAGER, member, signature, body)
        deadline = time.monotonic() + seconds
        while job not in self._jobs:
            left = deadline - time.monotonic()
            if left <= 0:
                raise SystemdError(f"systemd's job has not ended after {seconds:g} s", name="timeout")
            # In short turns, since a bus that dies makes no signal.
            await self._wait_change(min(left, 1.0))
        return self._jobs.pop(job)

    async def _reexecute(self) -> None:
        rule = f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{_SYSTEMD}'"
        await self._listen(rule, self._note_owner)
        before = self._owner_changes
        if self._bus is None:
            raise BusError("there is no connection to the user manager")
        await self._bus.post(_MANAGER, "Reexecute")
        deadline = time.monotonic() + RELOAD_SECONDS
        while self._owner_changes == before:
            if time.monotonic() > deadline:
                raise BusError(f"the user manager did not come back within {RELOAD_SECONDS:g} s of its re-execution")
            await self._wait_change(1.0)
        self._own = await self._get_all(_ROOT, f"{_SYSTEMD}.Manager")


def delegated_by_system(name: str) -> frozenset[str]:
    """Ask the system manager which controllers it is configured to delegate to a unit. Raises BusError."""

    async def ask() -> frozenset[str]:
        bus = await wire.connect([f"unix:path={wire.SYSTEM_BUS}"])
        try:
            (path,) = await bus.request(_MANAGER, "GetUnit", "s", [name])
            to = (_SYSTEMD, path, _PROPERTIES)
            (found,) = await bus.request(to, "Get", "ss", [f"{_SYSTEMD}.Service", "DelegateControllers"])
        finally:
            await bus.close()
        return frozenset(found.value)

    return asyncio.run(ask())
