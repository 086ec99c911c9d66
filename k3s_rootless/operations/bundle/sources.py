"""The sources of a bundle, read concurrently: the unit, its files, its environment, the journal."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from k3s_rootless import background, command
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations import k3s_log, server_settings
from k3s_rootless.operations.bundle import starts
from k3s_rootless.paths import UNIT
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.support.facts import LoggedStart

T = TypeVar("T")
LOOK_SECONDS = 8.0
"""The time limit in seconds for the sources that other parts need."""
_SHOW_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class UnitFile:
    """One file of the unit; if it cannot be read, `text` is None and `problem` is the reason."""

    path: Path
    text: str | None
    problem: str = ""


class Sources:
    """The sources of a bundle, all read concurrently from the beginning.

    Each method waits for one source, and raises RootlessError if there is no answer.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.begun = time.monotonic()
        self._state = background.begin(self._read_state)
        self._starts = background.begin(partial(starts.last, context.uid))
        self._environment = background.begin(self._read_environment)
        self._files = background.begin(self._read_files)
        self._settings = background.begin(self._read_settings)
        self._observed = background.begin(self._read_observed)
        self._log_file = background.begin(self._read_log_file)

    def state(self) -> UnitState:
        """Return the unit as the user manager reports it."""
        return background.answer(self._state, self.begun + LOOK_SECONDS)

    def last_starts(self, deadline: float) -> tuple[LoggedStart, ...]:
        """Return the last starts, the newest first."""
        return background.answer(self._starts, deadline)

    def manager_environment(self) -> dict[str, str]:
        """Return the environment that the user manager passes to its units."""
        return background.answer(self._environment, self.begun + LOOK_SECONDS)

    def files(self) -> tuple[UnitFile, ...]:
        """Return the unit file and its drop-ins."""
        return background.answer(self._files, self.begun + LOOK_SECONDS + 1)

    def observed(self, deadline: float) -> starts.Observed:
        """Return what the journal contains about the last start."""
        return background.answer(self._observed, deadline)

    def log_file(self, deadline: float) -> LoggedStart | None:
        """Return the file of `log`; None if K3s writes its log to the journal."""
        return background.answer(self._log_file, deadline)

    def settings(self) -> Settings:
        """Return K3s's settings; if they cannot be read in time, those of the unit alone."""
        try:
            return background.answer(self._settings, self.begun + LOOK_SECONDS + 1)
        except RootlessError as error:
            state: UnitState | None = or_default(self.state, None)
            return server_settings.of_unit_alone(self.context, state, error.message)

    def _read_state(self) -> UnitState:
        with self.context.manager() as manager:
            return manager.unit(UNIT)

    def _read_environment(self) -> dict[str, str]:
        environ = {"XDG_RUNTIME_DIR": str(self.context.paths.runtime), **self.context.environ}
        shown = command.run(
            ["systemctl", "--user", "show-environment"], timeout=_SHOW_SECONDS, environ=environ
        )
        if shown.status != 0:
            raise RootlessError(
                f"cannot read the environment of the user manager: {shown.stderr.strip()[:300]}"
            )
        found = {}
        for line in shown.stdout.splitlines():
            name, equals, value = line.partition("=")
            if equals:
                # systemctl quotes values for a shell if needed: `$'two\\nlines'`.
                found[name] = value[2:-1] if value.startswith("$'") else value
        return found

    def _read_settings(self) -> Settings:
        state: UnitState | None = or_default(self.state, None)
        environment: dict[str, str] = or_default(self.manager_environment, {})
        return server_settings.of(self.context, state, environment)

    def _read_files(self) -> tuple[UnitFile, ...]:
        try:
            state = self.state()
        except RootlessError:
            paths = self._files_on_disk()
        else:
            paths = [*state.drop_ins]
            if state.fragment is not None:
                paths.insert(0, state.fragment)
        return tuple(map(_unit_file, paths))

    def _files_on_disk(self) -> list[Path]:
        paths = self.context.paths
        places = (paths.user_units, paths.runtime / "systemd" / "user")
        units = [place / UNIT for place in places if (place / UNIT).exists()]
        drop_ins = [
            file for place in places for file in sorted((place / f"{UNIT}.d").glob("*.conf"))
        ]
        return units + drop_ins

    def _read_log_file(self) -> LoggedStart | None:
        found = k3s_log.of_settings(self.settings())
        if found is None or found.journal_too:
            return None
        return starts.of_file(found.path)

    def _read_observed(self) -> starts.Observed:
        try:
            invocation = self.state().invocation
        except RootlessError:
            # Without systemd, the last start is the newest one in the journal.
            found = self.last_starts(self.begun + LOOK_SECONDS)
            invocation = found[0].invocation if found else ""
        return starts.observe(self.context.uid, invocation)


def or_default(query: Callable[[], T], default: T) -> T:
    """Return the answer of a source, or the default if there is none."""
    try:
        return query()
    except RootlessError:
        return default


def _unit_file(path: Path) -> UnitFile:
    try:
        text = files.read(path).text
    except RootlessError as error:
        return UnitFile(path, None, error.message)
    if text is None:
        return UnitFile(path, None, f"`{path}` does not exist")
    return UnitFile(path, text)
