"""Connection to systemd on a bus: calls, jobs and signals.

This is the asynchronous part of `user`. A manager that re-executes itself leaves the bus for about
50 ms. The bus then answers its pending calls with NoReply. Calls that are safe to repeat are
therefore sent again when systemd is back. If the end of a job was missed in that time, the state of
its unit shows the result.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from k3s_rootless.errors import BusError, SystemdError
from k3s_rootless.service.facts import TimerState, UnitState
from k3s_rootless.service.systemd import properties
from k3s_rootless.service.systemd.bus import CALL_SECONDS, CONNECT_SECONDS, LOST_HINT, Bus, connect
from k3s_rootless.service.systemd.signals import Signals

SYSTEMD = "org.freedesktop.systemd1"
ROOT = "/org/freedesktop/systemd1"
MANAGER = f"{SYSTEMD}.Manager"
RELOAD_SECONDS = 60.0
RETURN_SECONDS = 5.0
"""Time limit for a manager that left the bus to return.

On a machine without other load it is back within 0.1 s.
"""
_PROPERTIES = "org.freedesktop.DBus.Properties"
_DAEMON = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_OWNER = f"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='{SYSTEMD}'"
_JOBS = f"type='signal',sender='{SYSTEMD}',interface='{MANAGER}',member='JobRemoved'"
_ERROR = "org.freedesktop.DBus.Error"
NO_REPLY = f"{_ERROR}.NoReply"
_LEFT = frozenset(
    {
        NO_REPLY,
        f"{_ERROR}.ServiceUnknown",
        f"{_ERROR}.NameHasNoOwner",
        f"{_ERROR}.Spawn.ChildExited",
    }
)
"""The errors that the bus returns while systemd is not on the bus."""

T = TypeVar("T")


class Conversation:
    """A connection to systemd, one at a time.

    It uses the first of `addresses` on which systemd answers and on which a process of `uid`
    listens.
    """

    def __init__(self, addresses: Sequence[str], uid: int) -> None:
        self.signals = Signals()
        self.own: Mapping[str, Any] = {}
        """Properties of the manager, as read by `open` or by the last `reread_manager`."""
        self.bus: Bus | None = None
        self._addresses = addresses
        self._uid = uid
        self._watching = False
        self._owners = 0

    async def open(self) -> None:
        """Connect. Raises BusError."""
        problems = []
        for address in self._addresses:
            try:
                self.bus = await connect([address], self._uid)
                self.bus.on_loss = self.signals.wake
                # If the name of systemd has no owner, this is another bus, and there is no reason
                # to wait.
                self.own = await self._with_retry(
                    lambda: self._query_all(ROOT, MANAGER, CONNECT_SECONDS), {NO_REPLY}
                )
            except BusError as error:
                # A bus without systemd (dbus-run-session) is not the bus of the user manager: try
                # the next one.
                problems.append(error.message)
                await self.close()
            else:
                return
        reasons = "; ".join(dict.fromkeys(problems))
        raise BusError(
            f"cannot connect to the user manager: {reasons}",
            hint="log in directly, or find the cause with: k3s-rootless check",
        )

    async def reopen(self, name: str) -> None:
        """Connect again, and watch the unit `name` again.

        Raises SystemdError, BusError.
        """
        await self.close()
        await self.open()
        await self.watch(name)
        self.signals.change()

    async def close(self) -> None:
        """Close the connection."""
        if self.bus is not None:
            await self.bus.close()
        self.bus, self._watching = None, False

    @property
    def connection(self) -> Bus:
        """The connection. Raises BusError if there is none."""
        if self.bus is None:
            raise BusError("there is no connection to the user manager")
        return self.bus

    async def request(
        self,
        member: str,
        kind: str,
        body: list[Any],
        returns: str,
        seconds: float = CALL_SECONDS,
        *,
        once: bool = False,
    ) -> list[Any]:
        """Call a method of the manager.

        If `once` is set, the call is not repeated when the manager leaves the bus; use it for calls
        that must not be made twice. Raises SystemdError, BusError.
        """
        to = (SYSTEMD, ROOT, MANAGER)
        return await self._with_retry(
            lambda: self.connection.request(to, member, kind, body, seconds, returns),
            frozenset() if once else _LEFT,
        )

    async def get_all(self, path: str, interface: str = "") -> Mapping[str, Any]:
        """Return the properties of an object, of one interface or of all interfaces.

        Raises SystemdError, BusError.
        """
        return await self._with_retry(lambda: self._query_all(path, interface, CALL_SECONDS))

    async def reread_manager(self) -> None:
        """Re-read the properties of the manager."""
        self.own = await self.get_all(ROOT, MANAGER)

    async def unit(self, name: str) -> UnitState:
        """Return the state of a unit as the manager reports it.

        systemd loads the unit if it is not loaded.
        """
        (path,) = await self.request("LoadUnit", "s", [name], "o")
        return properties.unit_state(name, await self.get_all(path))

    async def timer(self, name: str) -> TimerState:
        """Return the state of a timer as the manager reports it."""
        (path,) = await self.request("LoadUnit", "s", [name], "o")
        return properties.timer_state(name, await self.get_all(path))

    async def watch(self, name: str) -> None:
        """Let `wait_change` end when this unit changes, or when the manager is back."""
        (path,) = await self.request("LoadUnit", "s", [name], "o")
        await self._subscribe()
        await self.connection.watch(_OWNER, self.signals.note_owner)
        rule = f"type='signal',sender='{SYSTEMD}',interface='{_PROPERTIES}',path='{path}'"
        await self.connection.watch(rule, self.signals.note_change)
        self._watching, self._owners = True, self.signals.owner_changes

    async def wait_change(self, seconds: float) -> bool:
        """Wait for a change, or for `wake`; return whether there was a change.

        `seconds` limits the wait. Raises BusError if the connection is closed.
        """
        changed = await self.signals.wait(seconds)
        if not self.connection.connected:
            raise BusError("the bus closed the connection", hint=LOST_HINT)
        if self._watching and self.signals.owner_changes != self._owners:
            # A manager that was re-executed may have lost its subscribers.
            self._owners = self.signals.owner_changes
            await self._subscribe()
        return changed

    async def run_job(
        self, member: str, kind: str, body: list[Any], seconds: float, *, once: bool = False
    ) -> str:
        """Call a method that creates a job for the unit body[0]; return the result of the job.

        Waits at most `seconds` until the job ends. Raises SystemdError, BusError.
        """
        await self.connection.watch(_JOBS, self.signals.note_job)
        await self.connection.watch(_OWNER, self.signals.note_owner)
        self.signals.jobs.clear()
        owners = self.signals.owner_changes
        (job,) = await self.request(member, kind, body, "o", once=once)
        deadline = time.monotonic() + seconds
        while job not in self.signals.jobs:
            left = deadline - time.monotonic()
            if left <= 0:
                raise _timeout(member, body[0], seconds)
            if self.signals.owner_changes != owners and not await self._is_queued(job):
                return self.signals.jobs.get(job) or await self._became(
                    body[0], stops=member == "StopUnit"
                )
            # Wait in short intervals: a bus that is gone sends no signal.
            await self.wait_change(min(left, 1.0))
        return self.signals.jobs.pop(job)

    async def reexecute(self) -> None:
        """Re-execute the manager, and wait until it is back."""
        await self.connection.watch(_OWNER, self.signals.note_owner)
        before = self.signals.owner_changes
        deadline = time.monotonic() + RELOAD_SECONDS
        try:
            await self.request("Reexecute", "", [], "", RELOAD_SECONDS, once=True)
        except SystemdError as error:
            # The old process sends no reply: the bus reports that it has left. Every other error is
            # a refusal.
            if error.name != NO_REPLY:
                raise SystemdError(
                    f"cannot re-execute the user manager: {error.message}", name=error.name
                ) from error
        while self.signals.owner_changes == before:
            if time.monotonic() > deadline:
                raise BusError(
                    "the user manager did not return to the bus within"
                    f" {RELOAD_SECONDS:g} s after it was re-executed"
                )
            await self.wait_change(1.0)
        await self.reread_manager()

    async def _query_all(self, path: str, interface: str, seconds: float) -> Mapping[str, Any]:
        (values,) = await self.connection.request(
            (SYSTEMD, path, _PROPERTIES), "GetAll", "s", [interface], seconds, "a{sv}"
        )
        return {name: variant.value for name, variant in values.items()}

    async def _subscribe(self) -> None:
        try:
            await self.request("Subscribe", "", [], "")
        except SystemdError as error:
            if error.name != f"{SYSTEMD}.AlreadySubscribed":
                raise

    async def _is_queued(self, job: str) -> bool:
        try:
            await self.request("GetJob", "u", [int(job.rpartition("/")[2])], "o")
        except SystemdError as error:
            if error.name == f"{SYSTEMD}.NoSuchJob":
                return False
            raise
        return True

    async def _became(self, name: str, *, stops: bool) -> str:
        state = await self.unit(name)
        return "done" if (state.active_state in {"inactive", "failed"}) == stops else "failed"

    async def _with_retry(
        self, call: Callable[[], Awaitable[T]], left: frozenset[str] | set[str] = _LEFT
    ) -> T:
        deadline = time.monotonic() + RETURN_SECONDS
        while True:
            try:
                return await call()
            except SystemdError as error:
                if error.name not in left or not await self._returned(deadline):
                    raise

    async def _returned(self, deadline: float) -> bool:
        await self.connection.watch(_OWNER, self.signals.note_owner)
        while True:
            self.signals.owned.clear()
            (owned,) = await self.connection.request(
                _DAEMON, "NameHasOwner", "s", [SYSTEMD], returns="b"
            )
            remaining = deadline - time.monotonic()
            if owned or remaining <= 0:
                return bool(owned) and remaining > 0
            with suppress(TimeoutError):
                await asyncio.wait_for(self.signals.owned.wait(), remaining)


def _timeout(member: str, name: str, seconds: float) -> SystemdError:
    # K3s may wait without end for a child process that is gone, and its unit has no time limit
    # (observed early in a start).
    hint = f"check the unit with: systemctl --user status {name}"
    if member == "StopUnit":
        hint = f"kill its processes: systemctl --user kill --signal=SIGKILL {name}"
    return SystemdError(
        f"systemd's job did not finish within {seconds:g} s", name="timeout", hint=hint
    )
