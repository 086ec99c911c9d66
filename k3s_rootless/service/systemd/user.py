"""Client of the user manager, `systemd --user`, over D-Bus: synchronous methods.

It uses low-level messages and GetAll, without introspection: proxies differ between versions of
systemd, and properties may be missing (systemd 247 to 262). It subscribes to a signal before it
makes the call that causes the signal, so that no signal is missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from k3s_rootless.errors import BusError, SystemdError
from k3s_rootless.service.facts import TimerState, UnitState
from k3s_rootless.service.systemd import properties
from k3s_rootless.service.systemd.bus import Variant, user_bus_addresses
from k3s_rootless.service.systemd.client import RELOAD_SECONDS, SYSTEMD, Conversation

JOB_SECONDS = 90.0
_NO_SUCH_UNIT = f"{SYSTEMD}.NoSuchUnit"

Settings = Mapping[str, tuple[str, Any]]
"""The properties of a transient unit, each with its D-Bus signature and its value."""


class UserManager:
    """One connection to the user manager, for use as a context manager."""

    def __init__(self, environ: Mapping[str, str], runtime: Path, uid: int) -> None:
        self._runner = asyncio.Runner()
        self._with = Conversation(user_bus_addresses(environ, runtime), uid)

    def __enter__(self) -> Self:
        try:
            self._runner.run(self._with.open())
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            # A signal handler that raises an exception leaves the interrupted call pending. It
            # would continue here, and asyncio would print its error.
            for left in asyncio.all_tasks(self._runner.get_loop()):
                left.cancel()
            self._runner.run(self._with.close())
        finally:
            self._runner.close()

    @property
    def version(self) -> str:
        """The version of systemd as it reports it, such as `257.13-1~deb13u1`."""
        return str(self._with.own.get("Version", "of unknown version"))

    @property
    def control_group(self) -> str:
        """The control group of the manager.

        An example is `/user.slice/user-1000.slice/user@1000.service`.
        """
        return str(self._with.own.get("ControlGroup", ""))

    @property
    def unit_path(self) -> tuple[Path, ...]:
        """The directories in which this manager searches for units, highest priority first."""
        return tuple(Path(path) for path in self._with.own.get("UnitPath", ()))

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment that the manager passes to each unit.

        It was read when this connection began, or when this connection last changed it.
        """
        return properties.environment(self._with.own.get("Environment", ()))

    def unit(self, name: str) -> UnitState:
        """Return the state of a unit as the manager reports it.

        systemd loads the unit if it is not loaded.
        """
        return self._runner.run(self._with.unit(name))

    def timer(self, name: str) -> TimerState:
        """Return the state of a timer as the manager reports it."""
        return self._runner.run(self._with.timer(name))

    def watch(self, name: str) -> None:
        """Let `wait_change` end when this unit changes."""
        self._runner.run(self._with.watch(name))

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the watched unit, or for `wake`; return whether there was a change.

        `seconds` limits the wait. Raises BusError.
        """
        return self._runner.run(self._with.wait_change(seconds))

    def wake(self) -> None:
        """End a `wait_change` from another thread."""
        with suppress(RuntimeError):  # the connection is closed: no thread waits
            self._runner.get_loop().call_soon_threadsafe(self._with.signals.wake)

    def reopen(self, name: str) -> None:
        """Connect again and watch the unit again, after the manager was re-executed or restarted.

        Raises BusError.
        """
        self._runner.run(self._with.reopen(name))

    def reload(self) -> None:
        """Reload all unit files."""
        self._runner.run(self._with.request("Reload", "", [], "", RELOAD_SECONDS))

    def change_environment(self, unset: Sequence[str], assign: Mapping[str, str]) -> None:
        """Change the environment that the manager passes to each unit.

        One call removes the variables in `unset` and sets those in `assign`. The change lasts until
        this manager ends.
        """
        body = [list(unset), [f"{name}={value}" for name, value in assign.items()]]
        self._runner.run(self._with.request("UnsetAndSetEnvironment", "asas", body, ""))
        self._runner.run(self._with.reread_manager())

    def enable(self, name: str) -> None:
        """Let the unit start with the user manager."""
        self._runner.run(
            self._with.request("EnableUnitFiles", "asbb", [[name], False, False], "ba(sss)")
        )

    def disable(self, name: str) -> None:
        """Stop the unit from starting with the user manager."""
        self._runner.run(self._with.request("DisableUnitFiles", "asb", [[name], False], "a(sss)"))

    def reset_failed(self, name: str) -> None:
        """Reset the failed state of the unit and the count of its starts.

        Nothing happens if the unit is not loaded.
        """
        try:
            self._runner.run(self._with.request("ResetFailedUnit", "s", [name], ""))
        except SystemdError as error:
            # The garbage collection of systemd unloads a unit that is stopped and disabled, with
            # its failed state.
            if error.name != _NO_SUCH_UNIT:
                raise

    def start(self, name: str) -> None:
        """Start the unit, and return when the job of systemd has ended.

        K3s may not be ready at that time. Raises SystemdError.
        """
        self._job("StartUnit", "start", name)

    def stop(self, name: str, seconds: float = JOB_SECONDS) -> None:
        """Stop the unit, and wait until its processes are gone."""
        self._job("StopUnit", "stop", name, seconds)

    def restart(self, name: str) -> None:
        """Stop the unit and start it again."""
        self._job("RestartUnit", "restart", name)

    def reexecute(self) -> None:
        """Re-execute the manager, and keep its units running.

        The manager then detects controllers that were delegated to it since its start.
        """
        self._runner.run(self._with.reexecute())

    def start_transient(
        self,
        name: str,
        settings: Settings,
        *,
        beside: Mapping[str, Settings] | None = None,
        seconds: float = JOB_SECONDS,
    ) -> UnitState:
        """Start a transient unit and return its state; a unit of type oneshot has then ended.

        `settings` maps each property to its D-Bus signature and its value. `beside` are units that
        are created in the same call. They start only if this unit requires them. `seconds` limits
        the wait. Raises SystemdError, BusError.
        """
        others = [[other, _properties(of)] for other, of in (beside or {}).items()]
        body = [name, "fail", _properties(settings), others]
        self._runner.run(
            self._with.run_job("StartTransientUnit", "ssa(sv)a(sa(sv))", body, seconds, once=True)
        )
        return self.unit(name)

    def _job(self, member: str, verb: str, name: str, seconds: float = JOB_SECONDS) -> None:
        try:
            result = self._runner.run(self._with.run_job(member, "ss", [name, "replace"], seconds))
        except BusError as error:
            error.message = f"cannot {verb} `{name}`: {error.message}"
            raise
        if result != "done":
            hint = "check with `k3s-rootless status` and `k3s-rootless logs`"
            raise SystemdError(
                f"cannot {verb} `{name}`: systemd's job ended with the result `{result}`",
                name=result,
                hint=hint,
            )


def _properties(settings: Settings) -> list[list[Any]]:
    return [[key, Variant(kind, value)] for key, (kind, value) in settings.items()]
