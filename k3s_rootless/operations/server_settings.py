"""Read the settings of the running K3s, or of the next start of the unit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import config_file, flags
from k3s_rootless.k3s.origin import Origin, Source, Value, Variable
from k3s_rootless.k3s.settings import Inputs, Settings, resolve
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import unit_changes
from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.observe import config_files, files, process
from k3s_rootless.service.unit import pending_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.environment.precedence import Sources
    from k3s_rootless.service.facts import UnitState

_NAMES = (*flags.VARIABLES, "HOME", "TMPDIR")
_NOTHING = Variable("")


def of(
    context: Context, state: UnitState | None, manager: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of the running K3s, or of the next start if K3s does not run.

    `manager` is the environment that the user manager passes to each unit; if it is None, the user
    manager is queried.
    """
    if state is not None and state.running:
        return of_running(context, state)
    return of_next_start(context, state, manager)


def of_next_start(
    context: Context, state: UnitState | None, manager: Mapping[str, str] | None = None
) -> Settings:
    """Return the settings of the next start of the unit; `manager` as for `of`.

    For an unknown unit, these are K3s's defaults and its default configuration file.
    """
    # Imported here: `status` of a running K3s needs neither.
    from k3s_rootless.operations import unit_environment
    from k3s_rootless.service.environment import expansion

    if state is None:
        return _resolved(context, None, {}, ("systemd could not be queried about the unit",))
    problems = []
    if manager is None:
        try:
            manager = context.manager_environment()
        except RootlessError as error:
            manager = {}
            problems = [f"the environment of the user manager: {error.message}"]
    sources = unit_environment.sources(manager, state, unit_environment.texts(state))
    variables, doubts = _of_sources(sources, (*_NAMES, *expansion.named(state.argv)))
    return _resolved(context, state, variables, (*problems, *doubts))


def of_unit_alone(context: Context, state: UnitState | None, reason: str) -> Settings:
    """Return the settings in the command line and environment of the unit itself.

    `reason` is why no other source is known.
    """
    argv: tuple[str, ...] = ()
    variables: dict[str, Variable] = {}
    if state is not None:
        argv = state.argv
        assigned = state.environment or {}
        variables = {name: Variable(text) for name, text in assigned.items()}
    return resolve(
        Inputs(
            context.paths.home,
            argv,
            environment=variables,
            directory=_directory(context, state),
            problems=(reason,),
        )
    )


def of_running(context: Context, state: UnitState) -> Settings:
    """Return the settings that the running K3s was started with.

    The environment and the data directory are those of its process. If a file changed after the
    start, the port is the one in the kubeconfig that this start wrote.
    """
    found = process.started_with(state.main_pid, state.invocation)
    if isinstance(found, Unknown):
        settings = of_next_start(context, state)
    else:
        variables = {name: Variable(text) for name, text in found.value.items()}
        settings = _resolved(context, state, variables, ())
    settings = replace(settings, outdated=_config_changed(context, state, settings))
    return settings.having(dict(_observed(context, state, settings)))


def _resolved(
    context: Context,
    state: UnitState | None,
    variables: Mapping[str, Variable],
    problems: Sequence[str],
) -> Settings:
    def value(name: str) -> str:
        return variables.get(name, _NOTHING).text

    argv: tuple[str, ...] = ()
    if state is not None:
        argv = tuple(_expanded(state, value))
    directory = _directory(context, state)
    location = config_file.location(argv, value(config_file.VARIABLE))
    home = context.paths.home
    if value("HOME").startswith("/"):
        home = Path(value("HOME"))
    return resolve(
        Inputs(
            home,
            argv,
            config_files.read(location, directory, context.paths.root),
            variables,
            directory,
            _version(state),
            _command(state),
            location,
            tuple(problems),
        )
    )


def _expanded(state: UnitState, value: Callable[[str], str]) -> Iterable[str]:
    if not any("$" in word for word in state.argv):
        return state.argv
    # Imported here for the same reason as in `of_next_start`.
    from k3s_rootless.service.environment import expansion

    return expansion.expanded(state.argv, value)


def _of_sources(
    sources: Sources, names: Sequence[str]
) -> tuple[dict[str, Variable], tuple[str, ...]]:
    """Return the variables of the next start, and the files that make them uncertain."""
    # Imported here for the same reason as in `of_next_start`.
    from k3s_rootless.service.environment import precedence

    found: dict[str, Variable] = {}
    doubts: dict[str, None] = {}
    for name in names:
        resolved = precedence.resolve(name, sources)
        if resolved.doubt:
            doubts[resolved.doubt] = None
        if resolved.value is not None:
            last = resolved.last
            found[name] = Variable(resolved.value, last.origin.value, last.path)
    return found, tuple(doubts)


def _observed(
    context: Context, state: UnitState, settings: Settings
) -> Iterator[tuple[str, Value]]:
    """Yield the settings for which the running K3s shows another value."""
    # Imported here, as below: `env list` needs no HTTP.
    from k3s_rootless.k3s import layout
    from k3s_rootless.rootlesskit.state import of_process

    held = of_process(state.main_pid)
    if held is not None and held.name == layout.ROOTLESS and not _same(held.parent, settings.data):
        place = f"process {state.main_pid} has locked {held}/lock"
        yield "data-dir", Value("data-dir", str(held.parent), Origin(Source.PROCESS, place=place))
    if not settings.outdated and not _unit_changed(context, state):
        return
    # Imported here: loading takes 20 ms, and few running K3s have a changed file.
    from k3s_rootless.cluster.kubeconfig import read as kubeconfig

    try:
        found = kubeconfig.load(settings.kubeconfig, uid=context.uid)
    except RootlessError:
        return
    # The times are compared exactly: the file of the previous start can be almost as new, and no
    # process would ever listen on its port.
    is_of_this_start = state.started is not None and found.modified >= state.started
    if is_of_this_start and found.port != settings.https_port:
        port = Origin(Source.PROCESS, place=f"its current start wrote {found.path}")
        yield "https-listen-port", Value("https-listen-port", str(found.port), port)


def _config_changed(context: Context, state: UnitState, settings: Settings) -> str:
    newest = config_files.last_changed(settings.config, settings.directory, context.paths.root)
    if newest is None or not pending_changes.outdated(state.started, newest[1]):
        return ""
    return f"`{newest[0]}` changed after K3s was started"


def _unit_changed(context: Context, state: UnitState) -> bool:
    if state.fragment is None:
        return False
    drop_ins = state.fragment.with_name(f"{state.name}{drop_in.DIRECTORY_SUFFIX}")
    return drop_in.restart_pending(state, unit_changes.last(context, state, drop_ins)) is not None


def _same(one: Path, other: Path) -> bool:
    try:
        return one == other or os.path.samefile(one, other)  # noqa: PTH121 (two paths of one kind)
    except OSError:
        return False


def _directory(context: Context, state: UnitState | None) -> Path:
    if state is None or state.working_directory is None:
        return context.paths.home
    return state.working_directory


def _version(state: UnitState | None) -> Version | None:
    if state is None:
        return None
    return files.release_of(state.fragment)


def _command(state: UnitState | None) -> Path | None:
    """Return the file that sets the command: the last drop-in that does, or else the unit file."""
    if state is None:
        return None
    for path in reversed(state.drop_ins):
        text = files.or_problem(path).text or ""
        if any(map(_sets_command, text.splitlines())):
            return path
    return state.fragment


def _sets_command(line: str) -> bool:
    name, _, value = line.partition("=")
    return name.strip() == "ExecStart" and value.strip() != ""
