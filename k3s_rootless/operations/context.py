"""The context of an operation: the user, the paths, and the listener for events."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import PreflightFailed, RootlessError
from k3s_rootless.operations.events import Listener, Notice, ignore
from k3s_rootless.paths import FOREGROUND, UNIT, Paths

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from k3s_rootless.service.facts import UnitState

    # At run time, imported where it is used: loading takes 33 ms, and busctl answers single
    # queries.
    from k3s_rootless.service.systemd.user import UserManager

WAITING = "waiting for another k3s-rootless command to finish"


@dataclass(frozen=True, slots=True)
class Context:
    """One run of the tool by one user; `listener` receives the events of the operation."""

    paths: Paths
    environ: Mapping[str, str]
    uid: int
    user: str
    listener: Listener = ignore

    @classmethod
    def of(cls, listener: Listener = ignore) -> Context:
        """Return the context of this process.

        Raises RootlessError if the user has no entry in the user database.
        """
        uid = os.getuid()
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            raise RootlessError(
                f"cannot find uid {uid} in the user database",
                hint="check the database with: getent passwd",
            ) from None
        # HOME in the environment can be the home of another user (sudo, su). K3s and systemd use
        # the user database, too.
        paths = Paths.of(os.environ, uid, Path(entry.pw_dir))
        return cls(paths, dict(os.environ), uid, entry.pw_name, listener)

    def notice(self, text: str) -> None:
        """Send a line about the current action to the listener."""
        self.listener(Notice(text))

    def manager(self) -> UserManager:
        """Return the user manager, to be used as a context manager.

        Raises RootlessError with the reason if this session has no user manager.
        """
        self._require_manager()
        # Imported here: loading takes 33 ms, and busctl answers single queries.
        from k3s_rootless.service.systemd.user import UserManager

        return UserManager(self.environ, self.paths.runtime, self.uid)

    def unit(self, name: str) -> UnitState:
        """Return the state of a unit.

        For several queries, use `manager`. Raises RootlessError.
        """
        self._require_manager()
        # Imported here: some commands do not query the user manager.
        from k3s_rootless.service.systemd import busctl

        state = busctl.unit(name, self.paths.runtime)
        if state is not None:
            return state
        with self.manager() as manager:
            return manager.unit(name)

    def k3s_unit(self, manager: UserManager | None = None) -> UnitState:
        """Return the state of the unit that runs K3s: that of `run`, or else the installed unit.

        `manager` is an open connection to query; without it, this is a single query. Raises
        RootlessError.
        """
        query = self.unit if manager is None else manager.unit
        if self.paths.foreground.exists():
            found = query(FOREGROUND)
            if not found.at_rest:
                return found
        return query(UNIT)

    def manager_environment(self) -> Mapping[str, str]:
        """Return the environment that the user manager passes to each unit.

        For several queries, use `manager`. Raises RootlessError.
        """
        self._require_manager()
        # Imported here: some commands do not query the user manager.
        from k3s_rootless.service.systemd import busctl

        found = busctl.environment(self.paths.runtime)
        if found is not None:
            return found
        with self.manager() as manager:
            return manager.environment

    def locked(self) -> AbstractContextManager[None]:
        """Return the lock that excludes other changing commands of this user, as a context manager.

        Raises RootlessError.
        """
        # Imported here: commands that change nothing need no steps.
        from k3s_rootless.service.act import apply

        return apply.locked(self.paths.lock, lambda: self.notice(WAITING))

    def require_ordinary_user(self) -> None:
        """Raise PreflightFailed if the user is root."""
        if self.uid == 0:
            raise PreflightFailed(
                "cannot manage rootless K3s as root: it runs as an ordinary user",
                hint=(
                    "log in as that user, then run k3s-rootless again: machinectl shell USER@ (or"
                    " ssh USER@localhost)"
                ),
            )

    def _require_manager(self) -> None:
        self.require_ordinary_user()
        runtime = self.paths.runtime
        try:
            owner = runtime.stat().st_uid
        except OSError:
            raise PreflightFailed(
                f"cannot find the user manager: {runtime} does not exist, so this user has no"
                " session",
                hint=(
                    "log in directly (ssh, a console or machinectl shell): su, sudo and cron do"
                    " not create a session"
                ),
            ) from None
        if owner != self.uid:
            raise PreflightFailed(
                f"cannot use XDG_RUNTIME_DIR: {runtime} belongs to uid {owner}, not to uid"
                f" {self.uid}",
                hint=f"log in directly, or run: export XDG_RUNTIME_DIR=/run/user/{self.uid}",
            )
