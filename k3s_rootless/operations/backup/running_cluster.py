"""Stop and start the K3s of a backup or a restore, and prevent other starts in between."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from k3s_rootless.backup import names
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import first_start, installation, rotation, server_settings
from k3s_rootless.operations.launch import perform, until_ready
from k3s_rootless.paths import UNIT
from k3s_rootless.rootlesskit import state as rootlesskit
from k3s_rootless.service.act import apply
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import planner
from k3s_rootless.service.plan.rotation import stopped_for
from k3s_rootless.service.plan.steps import Reload

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.systemd.user import UserManager


class Cluster(Protocol):
    """A K3s that is stopped and started."""

    def is_running(self) -> bool:
        """Return whether K3s runs."""

    def stop(self) -> None:
        """Stop K3s. Raises RootlessError if it still runs."""

    def hold(self) -> None:
        """Prevent a start by other programs while the record of the work exists."""

    def release(self) -> None:
        """Allow starts again, and let systemd read changed drop-ins."""

    def start(self) -> None:
        """Start K3s without waiting."""

    def wait(self) -> None:
        """Wait until K3s is ready. Raises RootlessError with the cause if it is not."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A drop-in that prevents a start while a record exists.

    `name` is its file, and `command` finishes the work of the record.
    """

    name: str
    record: Path
    work: str
    command: str


def of_restore(context: Context) -> Guard:
    """Return the guard of a restore."""
    record = context.paths.restore_record
    return Guard(names.GUARD, record, "a restore", "k3s-rootless backup restore")


def of_reset(context: Context) -> Guard:
    """Return the guard of a reset."""
    return Guard(names.RESET_GUARD, context.paths.stop_record, "a reset", "k3s-rootless reset")


class SystemdCluster:
    """The K3s of the unit. `seconds` limits each wait until it is ready."""

    def __init__(
        self, context: Context, manager: UserManager, seconds: float, guard: Guard | None = None
    ) -> None:
        self._context = context
        self._manager = manager
        self._seconds = seconds
        self._guard = guard or of_restore(context)

    def is_running(self) -> bool:
        """Return whether the unit runs."""
        return self._manager.unit(UNIT).running

    def stop(self) -> None:
        """Stop the unit."""
        steps = planner.down(self._manager.unit(UNIT), disable=False)
        perform.perform(self._context, self._manager, steps)
        settings = server_settings.of(
            self._context, self._manager.unit(UNIT), self._manager.environment
        )
        if rootlesskit.is_held(settings.rootlesskit_state):
            raise RootlessError(
                f"a K3s that the unit did not start uses {settings.data}",
                hint="stop this K3s first; find it with: ps -fu $(id -u)",
            )

    def hold(self) -> None:
        """Write a drop-in with a condition, which also holds after a reset of the machine."""
        guard = self._guard
        record = str(guard.record).replace("%", "%%")
        text = drop_in.render(
            f"Prevents a start while {guard.work} is not finished: {guard.command}",
            ("[Unit]", f"ConditionPathExists=!{record}"),
        )
        apply.write(self._drop_in, text)
        self._reload("K3s must not start while its files are replaced")

    def release(self) -> None:
        """Remove the drop-in."""
        apply.remove(self._drop_in)
        self._reload("K3s may start again, and its drop-ins may have changed")

    def start(self) -> None:
        """Start the unit, as `restart` does."""
        context, manager = self._context, self._manager
        manager.watch(UNIT)
        state = installation.observed(manager, self._directory)
        rotate = rotation.needed(context, manager.environment, state)
        left = installation.left_behind(context, state, manager.environment)
        perform.perform(context, manager, stopped_for(rotate, planner.restart(state, left), state))

    def wait(self) -> None:
        """Wait until the node is ready."""
        release = files.release_of(self._manager.unit(UNIT).fragment)
        until_ready.until_ready(
            self._context,
            self._manager,
            release,
            seconds=self._seconds,
            until="node",
            started=True,
        )

    @property
    def _directory(self) -> Path:
        return first_start.unit_directory(self._manager, self._context.paths)

    @property
    def _drop_in(self) -> Path:
        return installation.drop_in_directory(self._directory) / self._guard.name

    def _reload(self, cause: str) -> None:
        perform.step(self._context, self._manager, Reload(cause))
