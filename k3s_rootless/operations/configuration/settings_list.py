"""List the settings of the next start, the source of each, and the files that K3s reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from k3s_rootless import own_settings
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import node_labels, options
from k3s_rootless.k3s.flags import Kind, named
from k3s_rootless.k3s.origin import Source
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import (
    first_start,
    installation,
    installed,
    server_settings,
    unit_changes,
)
from k3s_rootless.operations.configuration import node_drift, own
from k3s_rootless.operations.configuration.setting import Setting
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import configuration, drop_in
from k3s_rootless.service.drop_ins.limits import LIMITS
from k3s_rootless.service.unit.seal import Author, author

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from k3s_rootless.k3s.options import Option
    from k3s_rootless.k3s.origin import Value
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.configuration.node_drift import Difference
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.drop_ins.configuration import Configuration
    from k3s_rootless.service.facts import UnitState


@dataclass(frozen=True, slots=True)
class DropIn:
    """The drop-in that `config` writes."""

    path: Path
    author: Author


@dataclass(frozen=True, slots=True)
class Answer:
    """All settings, the drop-in that `config` writes, and why a restart is required.

    `resolved` is what the settings were taken from. `drift` are labels and taints that the node
    does not have, although they are set.
    """

    settings: tuple[Setting, ...]
    drop_in: DropIn | None
    restart_needed: str | None
    resolved: Settings
    drift: tuple[Difference, ...] = ()


def read(context: Context) -> Answer:
    """Read all settings from systemd, our drop-in and K3s's configuration files.

    Without a session, the files of the unit count. Raises RootlessError.
    """
    context.require_ordinary_user()
    directory = context.paths.user_units
    environment: Mapping[str, str] | None = None
    try:
        with context.manager() as manager:
            directory = first_start.unit_directory(manager, context.paths)
            state = manager.unit(UNIT)
            environment = manager.environment
    except RootlessError:
        state = installed.on_disk(context)
    found = installation.drop_in(directory, configuration.SUBJECT)
    configured = configuration.parse(found.text or "")
    written = None
    if found.text is not None:
        written = DropIn(found.path, author(found.text))
    base = base_argv(context, directory, state)
    resolved = next_start(context, state, environment, configured, base)
    names = (*options.OPTIONS, *LIMITS)
    rows = [setting(name, state, resolved, configured, base) for name in names]
    rows += own.settings(context)
    drift = node_drift.read(context, state, resolved, node_labels.SETTINGS)
    return Answer(tuple(rows), written, restart_cause(context, state, directory), resolved, drift)


def one(context: Context, name: str) -> Setting:
    """Return one setting. Raises RootlessError."""
    rows: Sequence[Setting] = own.settings(context)
    # Those of k3s-rootless itself need no user manager.
    if name not in own_settings.NAMES:
        rows = read(context).settings
    (found,) = (row for row in rows if row.name == name)
    return found


def next_start(
    context: Context,
    state: UnitState,
    environment: Mapping[str, str] | None,
    configured: Configuration,
    base: Sequence[str],
) -> Settings:
    """Return the settings of the next start, which may be the first start of a new unit."""
    if not state.installed:
        # systemd has no unit to load the drop-ins with, but the first start uses these settings.
        state = replace(state, argv=configuration.foreseen(base, configured))
    return server_settings.of_next_start(context, state, environment)


def restart_cause(context: Context, state: UnitState, directory: Path) -> str | None:
    """Return why a running K3s needs a restart, or None.

    The unit or a configuration file can have changed. `directory` is that of the user's own units.
    """
    drop_ins = installation.drop_in_directory(directory)
    changed = unit_changes.last(context, state, drop_ins)
    cause = drop_in.restart_pending(state, changed)
    if cause is not None or not state.running:
        return cause
    return server_settings.of_running(context, state).outdated or None


def setting(
    name: str, state: UnitState, resolved: Settings, configured: Configuration, base: Sequence[str]
) -> Setting:
    """Return one setting."""
    set_to = configured.get(name, ())
    if name in LIMITS:
        return _limit(name, state, set_to)
    option = options.OPTIONS[name]
    sources = resolved.given.get(name, ())
    if not sources:
        default = str(resolved.data) if name == "data-dir" else option.default
        return Setting(name, (default,) if default else (), "default", option.what, set_to)
    values = _values(name, resolved, sources)
    origin = _origin(option, sources, set_to, base)
    return Setting(name, values, origin, option.what, set_to, sources)


def _values(name: str, resolved: Settings, sources: Sequence[Value]) -> tuple[str, ...]:
    if name == "data-dir":
        return (str(resolved.data),)
    flag = named(name)
    if flag is not None and flag.kind is Kind.LIST:
        return resolved.words(name)
    return (sources[-1].text,)


def _origin(
    option: Option, sources: Sequence[Value], set_to: tuple[str, ...], base: Sequence[str]
) -> str:
    """Return where a setting comes from, one of the values of `Setting.origin`."""
    commanded = [one.text for one in sources if one.origin.source is Source.COMMAND_LINE]
    if not commanded:
        return sources[-1].origin.source.value
    argv = ("server", *(f"--{option.name}={text}" for text in commanded))
    given = configuration.given(option, argv)
    if given == set_to:
        return "config"
    if given == configuration.given(option, base):
        return "unit"
    return "another drop-in"


def _limit(name: str, state: UnitState, set_to: tuple[str, ...]) -> Setting:
    what = LIMITS[name].what
    values = set_to
    if state.installed:
        values = configuration.effective(name, state)
    if not values:
        return Setting(name, (), "default", what, set_to)
    origin = "config" if values == set_to else "another drop-in"
    return Setting(name, values, origin, what, set_to)


def notes(answer: Answer) -> list[str]:
    """Return notes about the node, and the configuration files that K3s reads and skips."""
    resolved = answer.resolved
    lines = [one.describe() for one in answer.drift]
    for file in resolved.files:
        if file.missing:
            lines.append(f"K3s reads no settings from {file.path}: {file.missing}")
        elif not isinstance(file.entries, Unknown):
            lines.append(f"K3s also reads {file.path}")
    lines += [
        f"K3s ignores `{one.name}` ({one.origin}): this release has no such option"
        for one in resolved.skipped
    ]
    return [*lines, *(f"unknown: {problem}" for problem in resolved.problems)]


def base_argv(context: Context, directory: Path, state: UnitState) -> tuple[str, ...]:
    """Return the command of the unit file itself; empty if there is none."""
    try:
        text = installation.text_to_build_on(context, directory, state)
    except RootlessError:
        return ()
    return tuple(word.strip("\"'") for word in configuration.command_words(text))
