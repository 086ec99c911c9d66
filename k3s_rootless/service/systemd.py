"""The user manager, `systemd --user`, over D-Bus: a synchronous face on asynchronous calls.

Low-level messages and GetAll are used, without introspection: proxies differ by systemd's version, and a property may come or
go (systemd 247 to 262). A signal is subscribed to before the call that causes it, so none can be missed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from k3s_rootless.errors import BusError, SystemdError
from k3s_rootless.service import bus as wire
from k3s_rootless.service import properties
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.signals import Signals

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
        self._signals = Signals()
        self._bus: wire.Bus | None = None
        self._own: Mapping[str, Any] = {}

    def __enter__(self) -> Self:
        try:
            self._runner.run(self._open())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._runner.run(self._close())
        finally:
            self._runner.close()

    async def _open(self) -> None:
        problems = []
        for address in self._addresses:
            try:
                self._bus = await wire.connect([address], self._uid)
                self._bus.on_loss = self._signals.changed.set
                self._own = await self._get_all(_ROOT, f"{_SYSTEMD}.Manager", wire.CONNECT_SECONDS)
            except BusError as error:
                # A bus without systemd on it (dbus-run-session) is not the user manager's: try the next.
                problems.append(error.message)
                await self._close()
            else:
                return
        told = "; ".join(dict.fromkeys(problems))
        raise BusError(f"cannot talk to the user manager: {told}", hint="log in directly, or see `k3s-rootless check`")

    async def _reopen(self, name: str) -> None:
        await self._close()
        await self._open()
        await self._watch(name)
        self._signals.changed.set()

    async def _close(self) -> None:
        if self._bus is not None:
            await self._bus.close()
        self._bus = None

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

    @property
    def environment(self) -> Mapping[str, str]:
        """What the manager hands to each unit, as it was when this connection began or last changed it."""
        return properties.environment(self._own.get("Environment", ()))

    def unit(self, name: str) -> UnitState:
        """Load a unit if need be, and give what the manager knows of it."""
        return self._runner.run(self._unit(name))

    def watch(self, name: str) -> None:
        """From now on, let `wait_change` end when something about this unit changes."""
        self._runner.run(self._watch(name))

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the watched unit, or for `wake`; tell whether there was one. Raises BusError."""
        return self._runner.run(self._wait_change(seconds))

    def wake(self) -> None:
        """End a `wait_change`, from another thread."""
        with suppress(RuntimeError):  # the connection was closed meanwhile, and nobody waits
            self._runner.get_loop().call_soon_threadsafe(self._signals.changed.set)

    def reopen(self, name: str) -> None:
        """Connect anew and watch the unit again, where the manager was executed anew or restarted. Raises BusError."""
        self._runner.run(self._reopen(name))

    def reload(self) -> None:
        """Read all unit files anew."""
        self._runner.run(self._request("Reload", "", [], "", RELOAD_SECONDS))

    def change_environment(self, unset: Sequence[str], assign: Mapping[str, str]) -> None:
        """Take variables out of what each unit is handed, and put others in, at once; it lasts until this manager ends."""
        body = [list(unset), [f"{name}={value}" for name, value in assign.items()]]
        self._runner.run(self._request("UnsetAndSetEnvironment", "asas", body, ""))
        self._own = self._runner.run(self._get_all(_ROOT, f"{_SYSTEMD}.Manager"))

    def enable(self, name: str) -> None:
        """Make the unit start with the user manager."""
        self._runner.run(self._request("EnableUnitFiles", "asbb", [[name], False, False], "ba(sss)"))

    def disable(self, name: str) -> None:
        """Stop making the unit start with the user manager."""
        self._runner.run(self._request("DisableUnitFiles", "asb", [[name], False], "a(sss)"))

    def reset_failed(self, name: str) -> None:
        """Forget that the unit failed, and the count of its starts."""
        self._runner.run(self._request("ResetFailedUnit", "s", [name], ""))

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

    def _job(self, member: str, verb: str, name: str, seconds: float = JOB_SECONDS) -> None:
        try:
            result = self._runner.run(self._run_job(member, "ss", [name, "replace"], seconds))
        except BusError as error:
            error.message = f"cannot {verb} `{name}`: {error.message}"
            raise
        if result != "done":
            hint = "see `k3s-rootless status` and `k3s-rootless logs`"
            raise SystemdError(f"cannot {verb} `{name}`: systemd's job ended with `{result}`", name=result, hint=hint)

    @property
    def _connection(self) -> wire.Bus:
        if self._bus is None:
            raise BusError("there is no connection to the user manager")
        return self._bus

    async def _request(
        self, member: str, kind: str, body: list[Any], gives: str, seconds: float = wire.CALL_SECONDS
    ) -> list[Any]:
        return await self._connection.request(_MANAGER, member, kind, body, seconds, gives)

    async def _get_all(self, path: str, interface: str = "", seconds: float = wire.CALL_SECONDS) -> Mapping[str, Any]:
        (values,) = await self._connection.request((_SYSTEMD, path, _PROPERTIES), "GetAll", "s", [interface], seconds, "a{sv}")
        return {name: variant.value for name, variant in values.items()}

    async def _unit(self, name: str) -> UnitState:
        (path,) = await self._request("LoadUnit", "s", [name], "o")
        return properties.unit_state(name, await self._get_all(path))

    async def _watch(self, name: str) -> None:
        (path,) = await self._request("LoadUnit", "s", [name], "o")
        try:
            await self._request("Subscribe", "", [], "")
        except SystemdError as error:
            if error.name != f"{_SYSTEMD}.AlreadySubscribed":
                raise
        rule = f"type='signal',sender='{_SYSTEMD}',interface='{_PROPERTIES}',path='{path}'"
        await self._connection.watch(rule, self._signals.note_change)

    async def _wait_change(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._signals.changed.wait(), seconds)
        changed = self._signals.changed.is_set()
        self._signals.changed.clear()
        if not self._connection.connected:
            raise BusError("the bus closed the connection", hint=wire.LOST_HINT)
        return changed

    async def _run_job(self, member: str, signature: str, body: list[Any], seconds: float) -> str:
        rule = f"type='signal',sender='{_SYSTEMD}',interface='{_SYSTEMD}.Manager',member='JobRemoved'"
        await self._connection.watch(rule, self._signals.note_job)
        self._signals.jobs.clear()
        (job,) = await self._request(member, signature, body, "o")
        deadline = time.monotonic() + seconds
        while job not in self._signals.jobs:
            left = deadline - time.monotonic()
            if left <= 0:
                # K3s may wait for ever for a child that is gone, and its unit sets no limit (seen early in a start).
                ends = f"end it: systemctl --user kill --signal=SIGKILL {body[0]}"
                looks = f"look at it with: systemctl --user status {body[0]}"
                hint = ends if member == "StopUnit" else looks
                raise SystemdError(f"systemd's job goes on after {seconds:g} s", name="timeout", hint=hint)
            # In short turns: a bus that dies makes no signal.
            await self._wait_change(min(left, 1.0))
        return self._signals.jobs.pop(job)

    async def _reexecute(self) -> None:
        rule = f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{_SYSTEMD}'"
        await self._connection.watch(rule, self._signals.note_owner)
        before = self._signals.owner_changes
        deadline = time.monotonic() + RELOAD_SECONDS
        try:
            await self._request("Reexecute", "", [], "", RELOAD_SECONDS)
        except SystemdError as error:
            # The old process answers nothing: the bus says in its place that it has left. All else is a refusal.
            if error.name != "org.freedesktop.DBus.Error.NoReply":
                raise SystemdError(f"cannot re-execute the user manager: {error.message}", name=error.name) from error
        while self._signals.owner_changes == before:
            if time.monotonic() > deadline:
                raise BusError(f"the user manager did not come back within {RELOAD_SECONDS:g} s of its re-execution")
            await self._wait_change(1.0)
        self._own = await self._get_all(_ROOT, f"{_SYSTEMD}.Manager")
