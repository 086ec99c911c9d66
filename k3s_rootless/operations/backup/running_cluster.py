"""Stop and start the K3s of a transaction, and prevent other starts in between."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from k3s_rootless.backup import names
from k3s_rootless.binaries import installed
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import version
from k3s_rootless.observation import Known
from k3s_rootless.operations import (
    first_start,
    installation,
    renewal,
    rotation,
    server_settings,
    start_record,
)
from k3s_rootless.operations.backup import cluster_reset, surroundings, volume_access
from k3s_rootless.operations.context import WAITING
from k3s_rootless.operations.launch import perform, reported, until_ready
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.facts import K3sBinary
from k3s_rootless.rootlesskit import state as rootlesskit
from k3s_rootless.service.act import apply
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import files
from k3s_rootless.service.plan import planner
from k3s_rootless.service.plan.rotation import stopped_for
from k3s_rootless.service.plan.steps import Reload, Remove, SetMode, WriteFile

if TYPE_CHECKING:
    from k3s_rootless.backup.facts import Expected, Switch
    from k3s_rootless.backup.volumes.in_namespace import InNamespace
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager


class Cluster(Protocol):
    """A K3s that is stopped and started."""

    def is_running(self) -> bool:
        """Return whether K3s runs."""

    def stop(self) -> None:
        """Stop K3s. Raises RootlessError if it still runs."""

    def hold(self) -> None:
        """Prevent a start by other programs while the record of the transaction exists."""

    def release(self) -> None:
        """Allow starts again, and let systemd read changed drop-ins."""

    def switch(self, switch: Switch) -> None:
        """Use the release after the transaction; K3s is stopped, and the call can be repeated."""

    def switch_back(self, switch: Switch) -> None:
        """Use the release before the transaction again."""

    def require(self, expected: Expected) -> None:
        """Raise RootlessError if the settings of the next start are not the expected ones."""

    def read_snapshot(self, snapshot: Path, expected: Expected) -> None:
        """Write etcd from a snapshot; K3s is stopped, and the call can be repeated.

        Raises RootlessError, also if the settings are not the expected ones.
        """

    def volume_access(self) -> InNamespace:
        """Return the way to the files of volumes."""

    def start(self) -> None:
        """Start K3s without waiting."""

    def wait(self, release: str = "") -> None:
        """Wait until K3s is ready, and reports this release; any release if it is empty.

        Raises RootlessError with the cause if it is not.
        """


class SystemdCluster:
    """The K3s of the unit.

    `seconds` limits each wait until it is ready; if it is `patient`, the wait without progress.
    """

    def __init__(
        self, context: Context, manager: UserManager, seconds: float, *, patient: bool = False
    ) -> None:
        self._context = context
        self._manager = manager
        self._seconds = seconds
        self._patient = patient

    def is_running(self) -> bool:
        """Return whether the unit runs."""
        return self._manager.unit(UNIT).running

    def stop(self) -> None:
        """Stop the unit, and a K3s that reads a snapshot."""
        cluster_reset.stop(self._manager)
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
        record = str(self._context.paths.transaction).replace("%", "%%")
        text = drop_in.render(
            "Prevents a start while a command is not finished; see: k3s-rootless status",
            ("[Unit]", f"ConditionPathExists=!{record}"),
        )
        apply.write(self._guard, text)
        self._reload("K3s must not start while its files are replaced")

    def release(self) -> None:
        """Remove the drop-in."""
        apply.remove(self._guard)
        self._reload("K3s may start again, and its drop-ins may have changed")

    def switch(self, switch: Switch) -> None:
        """Let the stable path lead to the release, and write the unit for it."""
        # Imported here: loading takes 60 ms, and a backup switches no release.
        from k3s_rootless.binaries import store

        own = self._context.paths.own
        with store.changing(own, lambda: self._context.notice(WAITING)):
            store.use(own, switch.after)
        perform.perform(self._context, self._manager, self.unit_steps(switch.after))

    def switch_back(self, switch: Switch) -> None:
        """Let the links lead where they led before; the unit is one of the replaced files."""
        # Imported here, as in `switch`.
        from k3s_rootless.binaries import store

        own = self._context.paths.own
        with store.changing(own, lambda: self._context.notice(WAITING)):
            store.put_back(own, switch.linked, switch.previous)

    def unit_steps(self, release: str) -> tuple[Step, ...]:
        """Return the steps that write the unit and our drop-ins for a release of our own.

        Raises WouldOverwrite if the unit was edited, PreflightFailed if rootless K3s cannot start
        with the release.
        """
        found = version.parse(release)
        if found is None:
            raise RootlessError(f"cannot use K3s {release}: this is not the name of a release")
        path = str(self._context.paths.own / installed.LINK)
        k3s = K3sBinary(path, executable=True, version=Known(found))
        desired = installation.desired(k3s, self._directory)
        drop_ins = renewal.steps(self._context, desired, force=False)
        unit = installation.found(self._context, self._manager, desired.path)
        steps = planner.install(desired, unit, drop_ins)
        # Whether K3s starts with the user manager does not depend on its release.
        return tuple(one for one in steps if isinstance(one, WriteFile | Remove | SetMode))

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

    def read_snapshot(self, snapshot: Path, expected: Expected) -> None:
        """Run K3s once, with the settings that the restored drop-ins make."""
        context, manager = self._context, self._manager
        self._reload("the drop-ins of K3s may have changed")
        self.require(expected)
        state = manager.unit(UNIT)
        left = installation.left_behind(context, state, manager.environment)
        for one in planner.cleared(state, left):
            perform.step(context, manager, one)
        context.notice("K3s restores the snapshot of etcd, and exits")
        cluster_reset.run(context, manager, self._settings().data, snapshot, self._seconds)

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

    def wait(self, release: str = "") -> None:
        """Wait until the node is ready, and reports the release."""
        until_ready.until_ready(
            self._context,
            self._manager,
            files.release_of(self._manager.unit(UNIT).fragment),
            seconds=self._seconds,
            until="node",
            started=True,
            patient=self._patient,
        )
        state = self._manager.unit(UNIT)
        # The copies beside the drop-ins are removed later. Without the record, that would look like
        # a change of the unit since the start.
        start_record.write(self._context, state)
        if release:
            reported.require(self._context, state, release)

    def _settings(self) -> Settings:
        state = self._manager.unit(UNIT)
        return server_settings.of(self._context, state, self._manager.environment)

    @property
    def _directory(self) -> Path:
        return first_start.unit_directory(self._manager, self._context.paths)

    @property
    def _guard(self) -> Path:
        return installation.drop_in_directory(self._directory) / names.GUARD

    def _reload(self, cause: str) -> None:
        perform.step(self._context, self._manager, Reload(cause))
