"""Brings together what is known of K3s's environment: what its next start will find, from where, and what runs with what."""

from __future__ import annotations

import ipaddress
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.cli import first_start, install
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.paths import UNIT
from k3s_rootless.service import (
    assignments,
    dropin,
    environment,
    environment_drop_in,
    environment_files,
    files,
    precedence,
    process,
)
from k3s_rootless.service.precedence import EnvironmentFile, Resolved, Sources

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.release.version import Version
    from k3s_rootless.service.environment import Judgement, Network, Surroundings
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.systemd import UserManager

_PLAIN = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
TWINS = {before + name.lower(): before + name for before in ("", "CONTAINERD_") for name in _PLAIN}
"""What Go reads where the capitals are empty, such as `http_proxy`, by its name."""
POD_NETWORK, SERVICE_NETWORK = "10.42.0.0/16", "10.43.0.0/16"


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
        return install.drop_in_directory(self.directory) / dropin.name(environment_drop_in.SUBJECT)

    def resolved(self, name: str) -> Resolved:
        """Tell what the next start will find."""
        return precedence.resolve(name, self.sources)

    def strange(self) -> tuple[str, ...]:
        """Name what is set and should not be: K3s's internal variables, and names that K3s does not know."""
        names = (name for name in self.sources.names() if name not in environment.VARIABLES)
        return tuple(sorted(name for name in names if name.startswith((environment.PREFIX, environment.INTERNAL))))

    def rows(self) -> tuple[str, ...]:
        """Name all that is shown: each variable, and what else is set that K3s reads, or may seem to."""
        twins = sorted(name for name in TWINS if name in self.sources.names())
        return (*environment.VARIABLES, *twins, *self.strange())

    def pending(self) -> tuple[str, ...] | None:
        """Name what only a restart applies; None where nothing runs, or nobody knows what it was started with."""
        return _pending(self.sources, self.running)

    def values(self) -> dict[str, str]:
        """Give what is set of the variables."""
        found = {name: self.resolved(name).value for name in environment.VARIABLES}
        return {name: value for name, value in found.items() if value is not None}


def look(session: Session, manager: UserManager, state: UnitState | None = None) -> Seen:
    """Read all of it; `state` is the unit, where it was asked for just now. Raises RootlessError."""
    from k3s_rootless.cli import status

    state = state or manager.unit(UNIT)
    directory = first_start.unit_directory(manager, session.paths)
    texts = _texts(state)
    if state.fragment is None:
        # systemd reads no drop-ins of a unit that is not there; `up` will find these.
        texts = install.drop_ins(directory, state)
        state = replace(state, environment=_merged(texts))
    sources = _sources(manager.environment, state, texts, _generated(session, manager.environment))
    running = process.started_with(state.main_pid) if state.running else Unknown("K3s does not run")
    return Seen(state, directory, sources, running, status.unit_version(state.fragment))


def assigned_by(state: UnitState) -> dict[str, tuple[str, Path | None]]:
    """Give what the unit assigns, each value with the file that does it, as far as that is known."""
    sources = Sources(unit=state.environment or {}, files=_texts(state))
    return {name: (value, precedence.resolve(name, sources).last.path) for name, value in sources.unit.items()}


def pending(manager: UserManager, state: UnitState) -> tuple[str, ...] | None:
    """Name the variables that a running K3s was started with otherwise than it would be now: a restart applies them.

    None where K3s does not run, or nobody can know what it was started with.
    """
    if not state.running:
        return None
    return _pending(_sources(manager.environment, state), process.started_with(state.main_pid))


def restart_owed(names: tuple[str, ...] | None) -> str | None:
    """Say in a line that a restart is needed; None where it is not."""
    return f"{', '.join(names)} changed after K3s was started: k3s-rootless restart applies it" if names else None


def warn_of_strange(session: Session, manager: UserManager) -> None:
    """Tell of variables in the user manager that keep K3s from starting."""
    names = sorted(name for name in manager.environment if name.startswith(environment.INTERNAL))
    if names:
        session.report.story(
            f"warning: the user manager has {', '.join(names)}, which keeps K3s from starting: "
            f"k3s-rootless env unset --runtime {' '.join(names)}"
        )


def surroundings(session: Session, seen: Seen, values: Mapping[str, str], version: Version | None) -> Surroundings:
    """Give what values are judged beside; says on stderr what could not be looked at."""
    from k3s_rootless.service.environment import Surroundings

    networks: tuple[Network, ...] = tuple(_of_cluster(seen.state))
    try:
        networks += tuple(_of_host())
    except RootlessError as error:
        session.report.story(f"could not tell which networks are in use here: {error.message}")
    named = environment.directories(values.get(f"{environment.PREFIX}COPYUPDIRS", ""))
    return Surroundings(version, networks, {name: _directory(session, name) for name in named}, values)


def judged(name: str, value: str | None, around: Surroundings) -> Judgement:
    """Tell what K3s makes of a value, whatever the name; of its own network too, where none is set."""
    if name in environment.VARIABLES:
        own = environment.CHILD_NETWORK if name == f"{environment.PREFIX}CIDR" else ""
        return environment.judge(name, value or own, around) if value or own else environment.Judgement()
    value = value or ""
    if name in TWINS:
        capitals = TWINS[name]
        found = environment.judge(capitals, value, around)
        words = f"Go reads it where {capitals} is empty"
        return environment.Judgement(found.effect, found.reason, (words, *found.warnings))
    effect = environment.Effect.FATAL if name.startswith(environment.INTERNAL) else environment.Effect.UNREAD
    return environment.Judgement(effect, environment.unknown(name))


def shown(name: str, value: str | None, *, reveal: bool) -> str | None:
    """Give a value without the password that an address of a proxy may hold."""
    secretive = TWINS.get(name, name) in environment.SECRETIVE or name not in environment.VARIABLES
    if not value or reveal or not secretive:
        return value
    from k3s_rootless.service import proxies

    return proxies.redacted(value)


def _texts(state: UnitState) -> tuple[FoundFile, ...]:
    paths = [*([state.fragment] if state.fragment else []), *state.drop_ins]
    return tuple(files.or_problem(path) for path in paths)


def _merged(texts: Iterable[FoundFile]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in texts:
        for line in assignments.of_unit(one.text or ""):
            found = {} if line is None else found | {name: value for name, value in line.items() if value is not None}
    return found


def _pending(sources: Sources, running: Observed[Mapping[str, str]]) -> tuple[str, ...] | None:
    if isinstance(running, Unknown):
        return None
    return precedence.differing((*environment.VARIABLES, *TWINS), sources, running.value)


def _sources(
    manager: Mapping[str, str],
    state: UnitState,
    texts: tuple[FoundFile, ...] = (),
    generated: Mapping[str, tuple[str, Path]] | None = None,
) -> Sources:
    named = environment_files.named(state.environment_files) if state.environment_files else ()
    known = tuple(
        EnvironmentFile(one.path, Unknown(one.problem) if one.text is None else Known(assignments.of_file(one.text)))
        for one in named
    )
    return Sources(manager, generated or {}, state.environment or {}, state.unset, texts, known)


def _generated(session: Session, manager: Mapping[str, str]) -> dict[str, tuple[str, Path]]:
    """Give what environment.d makes of our variables; its files are looked at only if the manager has one of them."""
    ours = {name for name in manager if name in environment.VARIABLES or name in TWINS or environment.PREFIX in name}
    if not ours:
        return {}
    root = session.paths.root
    configuration = Path(manager.get("XDG_CONFIG_HOME") or session.paths.home / ".config")
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


def _of_cluster(state: UnitState) -> Iterator[Network]:
    from k3s_rootless.release import flags
    from k3s_rootless.service import golang
    from k3s_rootless.service.environment import Network

    for flag, default, whose in (("cluster-cidr", POD_NETWORK, "Pods"), ("service-cidr", SERVICE_NETWORK, "Services")):
        given = ",".join(flags.values(state.argv, flag)) or default
        for text in given.split(","):
            found = golang.network(text.strip())
            if found and found[0].version == 4:
                yield Network(str(ipaddress.ip_network((int(found[0]), found[1]), strict=False)), whose)


def _of_host() -> Iterator[Network]:
    from k3s_rootless.ports import routes
    from k3s_rootless.service.environment import Network

    for network, interface in routes.networks().items():
        yield Network(network, f"{interface} of this host" if interface else "this host")


def _directory(session: Session, name: str) -> Observed[bool]:
    # K3s runs in the home directory, as services of the user do.
    path = session.paths.home / name
    try:
        return Known(stat.S_ISDIR(path.stat().st_mode), str(path))
    except (FileNotFoundError, NotADirectoryError):
        return Known(value=False, source=str(path))
    except OSError as error:
        return Unknown(f"{path}: {(error.strerror or str(error)).lower()}")
