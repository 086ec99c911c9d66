"""Brings together what is known of K3s's environment: what its next start will find, from where,
and what runs with what.
"""

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
from k3s_rootless.service.unit import standing

if TYPE_CHECKING:
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Seen:
    """The environment of K3s: of its next start, and of the one that runs."""

    state: UnitState
    directory: Path
    sources: Sources
    running: Observed[Mapping[str, str]]
    version: Version | None

    @property
    def own_path(self) -> Path:
        """Where our drop-in about the environment lies, if there is one."""
        return installation.drop_in_directory(self.directory) / drop_in.name(environment.SUBJECT)

    def resolved(self, name: str) -> Resolved:
        """Tell what the next start will find."""
        return precedence.resolve(name, self.sources)

    def strange(self) -> tuple[str, ...]:
        """Name what is set and should not be: K3s's internal variables, and names that K3s does not
        know.
        """
        names = (name for name in self.sources.names() if name not in variables.VARIABLES)
        return tuple(
            sorted(name for name in names if name.startswith((PREFIX, variables.INTERNAL)))
        )

    def rows(self) -> tuple[str, ...]:
        """Name all that is shown: each variable, and what else is set that K3s reads, or may seem
        to.
        """
        twins = sorted(name for name in TWINS if name in self.sources.names())
        return (*variables.VARIABLES, *twins, *self.strange())

    def pending(self) -> tuple[str, ...] | None:
        """Name what only a restart applies; None where nothing runs, or nobody knows what it was
        started with.
        """
        return (
            _differing(self.sources, self.running.value)
            if isinstance(self.running, Known)
            else None
        )

    def values(self) -> dict[str, str]:
        """Give what is set of the variables."""
        found = {name: self.resolved(name).value for name in variables.VARIABLES}
        return {name: value for name, value in found.items() if value is not None}


def look(context: Context, manager: UserManager, state: UnitState | None = None) -> Seen:
    """Read all of it; `state` is the unit, where it was asked for just now.

    Raises RootlessError.
    """
    from k3s_rootless.operations import installation

    state = state or manager.unit(UNIT)
    directory = first_start.unit_directory(manager, context.paths)
    texts = unit_environment.texts(state)
    if state.fragment is None:
        # systemd reads no drop-ins of a unit that is not there; `up` will find these.
        texts = installation.drop_ins(directory, state)
        state = replace(state, environment=_merged(texts))
    sources = unit_environment.sources(
        manager.environment, state, texts, _generated(context, manager.environment)
    )
    running = (
        process.started_with(state.main_pid, state.invocation)
        if state.running
        else Unknown("K3s does not run")
    )
    return Seen(state, directory, sources, running, unit_files.release_of(state.fragment))


def assigned_by(state: UnitState) -> dict[str, tuple[str, Path | None]]:
    """Give what the unit assigns, each value with the file that does it, as far as that is
    known.
    """
    sources = Sources(unit=state.environment or {}, files=unit_environment.texts(state))
    return {
        name: (value, precedence.resolve(name, sources).last.path)
        for name, value in sources.unit.items()
    }


def pending(manager: Mapping[str, str], state: UnitState) -> Observed[tuple[str, ...]]:
    """Name the variables that a running K3s was started with otherwise than it would be now: a
    restart applies them.

    `manager` is what the user manager hands to each unit. Not known where nobody can tell what K3s
    was started with.
    """
    running = process.started_with(state.main_pid, state.invocation)
    if isinstance(running, Unknown):
        return running
    return Known(
        _differing(unit_environment.sources(manager, state), running.value), running.source
    )


def next_start(manager: Mapping[str, str], state: UnitState) -> dict[str, str]:
    """Give what the next start of K3s finds of all that is shown; `manager` is what the user
    manager hands to each unit.
    """
    sources = unit_environment.sources(manager, state)
    strange = (name for name in sources.names() if name.startswith((PREFIX, variables.INTERNAL)))
    found = {name: precedence.resolve(name, sources).value for name in (*NAMES, *strange)}
    return {name: value for name, value in found.items() if value is not None}


def restart_owed(names: tuple[str, ...] | None) -> str | None:
    """Say in a line that a restart is needed; None where it is not."""
    return f"{standing.changed_since(names)}: k3s-rootless restart applies it" if names else None


def warn_of_strange(context: Context, manager: UserManager) -> None:
    """Tell of variables in the user manager that keep K3s from starting."""
    names = sorted(name for name in manager.environment if name.startswith(variables.INTERNAL))
    if names:
        context.notice(
            f"warning: the user manager has {', '.join(names)}, which keeps K3s from starting: "
            f"k3s-rootless env unset --runtime {' '.join(names)}"
        )


def shown(name: str, value: str | None, *, reveal: bool) -> str | None:
    """Return a value with `***` for the password that an address of a proxy may have."""
    secretive = TWINS.get(name, name) in variables.SECRETIVE or name not in variables.VARIABLES
    if not value or reveal or not secretive:
        return value
    from k3s_rootless.support.redaction import addresses

    return addresses.hidden(value)


def _merged(texts: Iterable[FoundFile]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in texts:
        for line in assignments.of_unit(one.text or ""):
            found = (
                {}
                if line is None
                else found | {name: value for name, value in line.items() if value is not None}
            )
    return found


def _differing(sources: Sources, running: Mapping[str, str]) -> tuple[str, ...]:
    return precedence.differing(comparable(running), sources, running)


def _generated(context: Context, manager: Mapping[str, str]) -> dict[str, tuple[str, Path]]:
    """Give what environment.d makes of our variables; its files are looked at only if the manager
    has one of them.
    """
    ours = {
        name for name in manager if name in variables.VARIABLES or name in TWINS or PREFIX in name
    }
    if not ours:
        return {}
    root = context.paths.root
    configuration = Path(manager.get("XDG_CONFIG_HOME") or context.paths.home / ".config")
    places = {
        name: file.path
        for file in environment_files.environment_d(configuration, root)
        for name in assignments.of_file(file.text or "")
        if name in ours
    }
    made = environment_files.generated(manager, root) if places else Unknown("")
    if isinstance(made, Unknown):
        return {}
    return {name: (made.value[name], path) for name, path in places.items() if name in made.value}
