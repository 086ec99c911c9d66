"""Read the environment of K3s: of its next start, with the sources, and of the running K3s."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.operations import first_start, installation, unit_environment
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import drop_in, environment
from k3s_rootless.service.environment import assignments, precedence, variables
from k3s_rootless.service.environment.pending import NAMES, PREFIX, TWINS, comparable
from k3s_rootless.service.environment.precedence import Resolved, Sources
from k3s_rootless.service.observe import environment_files, process
from k3s_rootless.service.observe import files as unit_files

if TYPE_CHECKING:
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class ObservedEnvironment:
    """The environment of the next start of K3s, and of the running K3s."""

    state: UnitState
    directory: Path
    sources: Sources
    running: Observed[Mapping[str, str]]
    version: Version | None

    @property
    def own_path(self) -> Path:
        """The path of our drop-in for the environment; the file can be missing."""
        return installation.drop_in_directory(self.directory) / drop_in.name(environment.SUBJECT)

    def resolved(self, name: str) -> Resolved:
        """Return the value of a variable at the next start, with its sources."""
        return precedence.resolve(name, self.sources)

    def unexpected(self) -> tuple[str, ...]:
        """Return the variables that should not be set: internal to K3s, or unknown to K3s."""
        names = set(self.sources.names()) - variables.VARIABLES.keys()
        return tuple(sorted(filter(_is_like_ours, names)))

    def rows(self) -> tuple[str, ...]:
        """Return the names to show: all variables of K3s, and other set names that it may read."""
        twins = sorted(name for name in TWINS if name in self.sources.names())
        return (*variables.VARIABLES, *twins, *self.unexpected())

    def pending(self) -> tuple[str, ...] | None:
        """Return the variables that need a restart to take effect.

        None if K3s does not run, or if it is unknown what K3s was started with.
        """
        if not isinstance(self.running, Known):
            return None
        return _differing(self.sources, self.running.value)

    def values(self) -> dict[str, str]:
        """Return the variables that are set, with their values."""
        found = {name: self.resolved(name).value for name in variables.VARIABLES}
        return {name: value for name, value in found.items() if value is not None}


def read(
    context: Context, manager: UserManager, state: UnitState | None = None
) -> ObservedEnvironment:
    """Read the environment of K3s; `state` is the unit, if it was just read.

    Raises RootlessError.
    """
    state = state or manager.unit(UNIT)
    directory = first_start.unit_directory(manager, context.paths)
    texts = unit_environment.texts(state)
    if state.fragment is None:
        # systemd does not read the drop-ins of a unit that does not exist, but `up` will use them.
        texts = installation.drop_ins(directory, state)
        state = replace(state, environment=_merged(texts))
    sources = unit_environment.sources(
        manager.environment, state, texts, _generated(context, manager.environment)
    )
    running: Observed[Mapping[str, str]] = Unknown("K3s is not running")
    if state.running:
        running = process.started_with(state.main_pid, state.invocation)
    return ObservedEnvironment(
        state, directory, sources, running, unit_files.release_of(state.fragment)
    )


def assigned_by(state: UnitState) -> dict[str, tuple[str, Path | None]]:
    """Return the variables that the unit assigns: the value, and its file if that is known."""
    sources = Sources(unit=state.environment or {}, files=unit_environment.texts(state))
    return {
        name: (value, precedence.resolve(name, sources).last.path)
        for name, value in sources.unit.items()
    }


def pending(manager: Mapping[str, str], state: UnitState) -> Observed[tuple[str, ...]]:
    """Return the variables that have changed since K3s was started.

    `manager` is the environment that the user manager passes to each unit. The result is Unknown if
    it is unknown what K3s was started with.
    """
    running = process.started_with(state.main_pid, state.invocation)
    if isinstance(running, Unknown):
        return running
    return Known(
        _differing(unit_environment.sources(manager, state), running.value), running.source
    )


def next_start(manager: Mapping[str, str], state: UnitState) -> dict[str, str]:
    """Return the values of the shown variables at the next start of K3s.

    `manager` is the environment that the user manager passes to each unit.
    """
    sources = unit_environment.sources(manager, state)
    names = (*NAMES, *filter(_is_like_ours, sources.names()))
    found = {name: precedence.resolve(name, sources).value for name in names}
    return {name: value for name, value in found.items() if value is not None}


def warn_about_internal(context: Context, manager: UserManager) -> None:
    """Warn about variables in the user manager that keep K3s from starting."""
    names = sorted(name for name in manager.environment if name.startswith(variables.INTERNAL))
    if names:
        context.notice(
            f"warning: K3s does not start while the user manager sets {', '.join(names)}; remove"
            f" with: k3s-rootless env unset --runtime {' '.join(names)}"
        )


def shown(name: str, value: str | None, *, reveal: bool) -> str | None:
    """Return a value with `***` in place of a password in an address."""
    secretive = TWINS.get(name, name) in variables.SECRETIVE or name not in variables.VARIABLES
    if not value or reveal or not secretive:
        return value
    # Imported here: the speed of `env list` matters, and few environments have a value to hide.
    from k3s_rootless.support.redaction import addresses

    return addresses.hidden(value)


def _is_like_ours(name: str) -> bool:
    """Return whether the name looks like a variable that K3s reads."""
    return name.startswith((PREFIX, variables.INTERNAL))


def _merged(texts: Iterable[FoundFile]) -> dict[str, str]:
    """Return the variables that the files of a unit assign, merged as in systemd."""
    found: dict[str, str] = {}
    for one in texts:
        for line in assignments.of_unit(one.text or ""):
            if line is None:
                found = {}
                continue
            found |= {name: value for name, value in line.items() if value is not None}
    return found


def _differing(sources: Sources, running: Mapping[str, str]) -> tuple[str, ...]:
    return precedence.differing(comparable(running), sources, running)


def _generated(context: Context, manager: Mapping[str, str]) -> dict[str, tuple[str, Path]]:
    """Return our variables that environment.d sets, each with its value and its file.

    The files are read only if the user manager has one of our variables.
    """
    ours = {
        name for name in manager if name in variables.VARIABLES or name in TWINS or PREFIX in name
    }
    if not ours:
        return {}
    root = context.paths.root
    configuration = Path(manager.get("XDG_CONFIG_HOME") or context.paths.home / ".config")
    places = _places(environment_files.environment_d(configuration, root), ours)
    if not places:
        return {}
    made = environment_files.generated(manager, root)
    if isinstance(made, Unknown):
        return {}
    return {name: (made.value[name], path) for name, path in places.items() if name in made.value}


def _places(found: Iterable[FoundFile], names: set[str]) -> dict[str, Path]:
    """Return the last file that assigns each of these names."""
    return {
        name: file.path
        for file in found
        for name in assignments.of_file(file.text or "")
        if name in names
    }
