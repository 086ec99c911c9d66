"""Stop and start the K3s of a backup or a restore, and prevent other starts in between."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from k3s_rootless.backup.names import GUARD
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import first_start, installation, rotation, server_settings
from k3s_rootless.operations.backup import surroundings, volume_access
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
    from k3s_rootless.backup.facts import Expected
    from k3s_rootless.backup.volumes.in_namespace import InNamespace
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.systemd.user import UserManager


class Cluster(Protocol):
    """A K3s that is stopped and started."""

    def is_running(self) -> bool:
        """Return whether K3s runs."""

    def stop(self) -> None:
        """Stop K3s. Raises RootlessError if it still runs."""

    def hold(self) -> None:
        """Prevent a start by other programs while the record of a restore exists."""

    def release(self) -> None:
        """Allow starts again, and let systemd read changed drop-ins."""

    def require(self, expected: Expected) -> None:
        """Raise RootlessError if the settings of the next start are not the expected ones."""

    def volume_access(self) -> InNamespace:
        """Return the way to the files of volumes."""

    def start(self) -> None:
        """Start K3s without waiting."""

    def wait(self) -> None:
        """Wait until K3s is ready. Raises RootlessError with the cause if it is not."""


class SystemdCluster:
    """The K3s of the unit. `seconds` limits each wait until it is ready."""

    def __init__(self, context: Context, manager: UserManager, seconds: float) -> None:
        self._context = context
        self._manager = manager
        self._seconds = seconds

    def is_running(self) -> bool:
        """Return whether the unit runs."""
        return self._manager.unit(UNIT).running

    def stop(self) -> None:
        """Stop the unit."""
        steps = planner.down(self._manager.unit(UNIT), disable=False)
        perform.perform(self._context, self._manager, steps)
        settings = self._settings()
        if rootlesskit.is_held(settings.rootlesskit_state):
            raise RootlessError(
                f"a K3s that the unit did not start uses {settings.data}",
                hint="stop this K3s first; find it with: ps -fu $(id -u)",
            )

    def hold(self) -> None:
        """Write a drop-in with a condition, which also holds after a reset of the machine."""
        record = str(self._context.paths.restore_record).replace("%", "%%")
        text = drop_in.render(
            "Prevents a start while a restore is not finished: k3s-rootless backup restore",
            ("[Unit]", f"ConditionPathExists=!{record}"),
        )
        apply.write(self._guard, text)
        self._reload("K3s must not start while its files are replaced")

    def release(self) -> None:
        """Remove the drop-in."""
        apply.remove(self._guard)
        self._reload("K3s may start again, and its drop-ins may have changed")

    def require(self, expected: Expected) -> None:
        """Compare the data directory and the name of the node, which restored files can set."""
        settings = self._settings()
        node = surroundings.node_name(settings)
        found = (
            ("data directory", expected.data, str(settings.data)),
            ("name of the node", expected.node, node),
        )
        for what, wanted, given in found:
            if wanted and wanted != given:
                raise RootlessError(
                    f"the restored settings make {given} the {what}, instead of {wanted}",
                    hint="see where they come from: k3s-rootless config list",
                )

    def volume_access(self) -> InNamespace:
        """Return the way into a user namespace, a new one or that of this K3s."""
        return volume_access.of(self._context, self._settings().rootlesskit_state)

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

    def _settings(self) -> Settings:
        state = self._manager.unit(UNIT)
        return server_settings.of(self._context, state, self._manager.environment)

    @property
    def _directory(self) -> Path:
        return first_start.unit_directory(self._manager, self._context.paths)

    @property
    def _guard(self) -> Path:
        return installation.drop_in_directory(self._directory) / GUARD

    def _reload(self, cause: str) -> None:
        perform.step(self._context, self._manager, Reload(cause))
