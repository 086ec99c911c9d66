"""The user manager, `systemd --user`, over D-Bus: a synchronous face on asynchronous calls.

Low-level messages and GetAll are used, without introspection: proxies differ by systemd's version,
and a property may come or go (systemd 247 to 262). A signal is subscribed to before the call that
causes it, so none can be missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from k3s_rootless.errors import BusError, SystemdError
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.systemd import properties
from k3s_rootless.service.systemd.bus import Variant, user_bus_addresses
from k3s_rootless.service.systemd.client import RELOAD_SECONDS, SYSTEMD, Conversation

JOB_SECONDS = 90.0
_NO_SUCH_UNIT = f"{SYSTEMD}.NoSuchUnit"


class UserManager:
    """One connection to the user manager; use it as a context."""

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
            self._runner.run(self._with.close())
        finally:
            self._runner.close()

    @property
    def version(self) -> str:
        """How systemd spells its version, such as `257.13-1~deb13u1`."""
        return str(self._with.own.get("Version", "of unknown version"))

    @property
    def control_group(self) -> str:
        """The control group of the manager, such as
        `/user.slice/user-1000.slice/user@1000.service`.
        """
        return str(self._with.own.get("ControlGroup", ""))

    @property
    def unit_path(self) -> tuple[Path, ...]:
        """Where this manager looks for units, first come first served."""
        return tuple(Path(path) for path in self._with.own.get("UnitPath", ()))

    @property
    def environment(self) -> Mapping[str, str]:
        """What the manager hands to each unit, as it was when this connection began or last changed
        it.
        """
        return properties.environment(self._with.own.get("Environment", ()))

    def unit(self, name: str) -> UnitState:
        """Load a unit if need be, and give what the manager knows of it."""
        return self._runner.run(self._with.unit(name))

    def watch(self, name: str) -> None:
        """From now on, let `wait_change` end when something about this unit changes."""
        self._runner.run(self._with.watch(name))

    def wait_change(self, seconds: float) -> bool:
        """Wait for a change of the watched unit, or for `wake`; tell whether there was a change.

        Raises BusError.
        """
        return self._runner.run(self._with.wait_change(seconds))

    def wake(self) -> None:
        """End a `wait_change`, from another thread."""
        with suppress(RuntimeError):  # the connection was closed meanwhile, and nobody waits
            self._runner.get_loop().call_soon_threadsafe(self._with.signals.wake)

    def reopen(self, name: str) -> None:
        """Connect anew and watch the unit again, where the manager was executed anew or restarted.

        Raises BusError.
        """
        self._runner.run(self._with.reopen(name))

    def reload(self) -> None:
        """Read all unit files anew."""
        self._runner.run(self._with.request("Reload", "", [], "", RELOAD_SECONDS))

    def change_environment(self, unset: Sequence[str], assign: Mapping[str, str]) -> None:
        """Take variables out of what each unit is handed, and put others in, at once; it lasts
        until this manager ends.
        """
        body = [list(unset), [f"{name}={value}" for name, value in assign.items()]]
        self._runner.run(self._with.request("UnsetAndSetEnvironment", "asas", body, ""))
        self._runner.run(self._with.look_at_itself())

    def enable(self, name: str) -> None:
        """Make the unit start with the user manager."""
        self._runner.run(
            self._with.request("EnableUnitFiles", "asbb", [[name], False, False], "ba(sss)")
        )

    def disable(self, name: str) -> None:
        """Stop making the unit start with the user manager."""
        self._runner.run(self._with.request("DisableUnitFiles", "asb", [[name], False], "a(sss)"))

    def reset_failed(self, name: str) -> None:
        """Forget that the unit failed, and the count of its starts; a unit that is not loaded has
        neither.
        """
        try:
            self._runner.run(self._with.request("ResetFailedUnit", "s", [name], ""))
        except SystemdError as error:
            # systemd unloads a unit that is stopped and disabled (its garbage collection), so it
            # remembers nothing of it.
            if error.name != _NO_SUCH_UNIT:
                raise

    def start(self, name: str) -> None:
        """Start the unit; ends when systemd's job has ended, which is not when K3s is ready.

        Raises SystemdError.
        """
        self._job("StartUnit", "start", name)

    def stop(self, name: str, seconds: float = JOB_SECONDS) -> None:
        """Stop the unit and wait until its processes are gone."""
        self._job("StopUnit", "stop", name, seconds)

    def restart(self, name: str) -> None:
        """Stop and start the unit."""
        self._job("RestartUnit", "restart", name)

    def reexecute(self) -> None:
        """Let the manager execute itself anew, keeping its units running; it then sees controllers
        that it got since.
        """
        self._runner.run(self._with.reexecute())

    def start_transient(self, name: str, settings: Mapping[str, tuple[str, Any]]) -> UnitState:
        """Start a transient unit; `settings` maps a property to its D-Bus signature and value."""
        body = [
            name,
            "fail",
            [[key, Variant(kind, value)] for key, (kind, value) in settings.items()],
            [],
        ]
        self._runner.run(
            self._with.run_job(
                "StartTransientUnit", "ssa(sv)a(sa(sv))", body, JOB_SECONDS, once=True
            )
        )
        return self.unit(name)

    def _job(self, member: str, verb: str, name: str, seconds: float = JOB_SECONDS) -> None:
        try:
            result = self._runner.run(self._with.run_job(member, "ss", [name, "replace"], seconds))
        except BusError as error:
            error.message = f"cannot {verb} `{name}`: {error.message}"
            raise
        if result != "done":
            hint = "see `k3s-rootless status` and `k3s-rootless logs`"
            raise SystemdError(
                f"cannot {verb} `{name}`: systemd's job ended with `{result}`",
                name=result,
                hint=hint,
            )
