"""What `config list` shows: each setting of the next start, where it comes from, and the files that
K3s reads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import options
from k3s_rootless.k3s.flags import Kind, named
from k3s_rootless.k3s.origin import Source
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import first_start, installation, server_settings, unit_changes
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import configuration
from k3s_rootless.service.drop_ins import drop_in as dropin
from k3s_rootless.service.drop_ins.limits import LIMITS
from k3s_rootless.service.unit.seal import author

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from k3s_rootless.k3s.origin import Value
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.drop_ins.configuration import Configuration
    from k3s_rootless.service.facts import UnitState


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of the next start.

    `origin` is `config`, `unit`, `another drop-in`, `configuration file`, `environment` or
    `default`; `set_to` is what `config` set it to, `sources` is each value with its origin in K3s's
    flags.
    """

    name: str
    values: tuple[str, ...]
    origin: str
    what: str
    set_to: tuple[str, ...] = ()
    sources: tuple[Value, ...] = ()

    @property
    def places(self) -> str:
        """Where the values come from, for people."""
        outside = (Source.CONFIG_FILE, Source.ENVIRONMENT)
        found = [
            str(one.origin) if one.origin.source in outside else self.origin for one in self.sources
        ]
        return ", ".join(dict.fromkeys(found)) or self.origin

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "name": self.name,
            "values": list(self.values),
            "origin": self.origin,
            "set_to": list(self.set_to),
            "sources": [_source(one) for one in self.sources],
        }


@dataclass(frozen=True, slots=True)
class Answer:
    """All settings, the drop-in that `config` keeps, why K3s should be restarted, and what they
    were resolved from.
    """

    settings: tuple[Setting, ...]
    drop_in: dict[str, str] | None
    restart_needed: str | None
    resolved: Settings


def read(context: Context) -> Answer:
    """Read all settings from systemd, our drop-in and K3s's configuration files.

    Raises RootlessError.
    """
    with context.manager() as manager:
        directory = first_start.unit_directory(manager, context.paths)
        state, environment = manager.unit(UNIT), manager.environment
    found = installation.drop_in(directory, configuration.SUBJECT)
    wanted = configuration.parse(found.text or "")
    base = base_argv(context, directory, state)
    drop_in = (
        {"path": str(found.path), "author": author(found.text).name.lower()}
        if found.text is not None
        else None
    )
    resolved = next_start(context, state, environment, wanted, base)
    changed = unit_changes.last(context, state, installation.drop_in_directory(directory))
    owed = dropin.restart_owed(state, changed) or config_changed(context, state)
    names = (*options.OPTIONS, *LIMITS)
    rows = tuple(setting(name, state, resolved, wanted, base) for name in names)
    return Answer(rows, drop_in, owed, resolved)


def next_start(
    context: Context,
    state: UnitState,
    environment: Mapping[str, str],
    wanted: Configuration,
    base: Sequence[str],
) -> Settings:
    """Return the settings of the next start; of a unit that is not installed yet, of its first
    one.
    """
    if not state.installed:
        # systemd has no unit to read them with; they are what the first start gets.
        state = replace(state, argv=configuration.foreseen(base, wanted))
    return server_settings.of_next_start(context, state, environment)


def config_changed(context: Context, state: UnitState) -> str | None:
    """Say which configuration file of a running K3s changed after it was started; None where none
    did.
    """
    return (server_settings.of_running(context, state).outdated or None) if state.running else None


def setting(
    name: str, state: UnitState, resolved: Settings, wanted: Configuration, base: Sequence[str]
) -> Setting:
    """Return one setting."""
    set_to = wanted.get(name, ())
    if name in LIMITS:
        return _limit(name, state, set_to)
    option, flag = options.OPTIONS[name], named(name)
    sources = resolved.given.get(name, ())
    if not sources:
        default = str(resolved.data) if name == "data-dir" else option.default
        return Setting(name, (default,) if default else (), "default", option.what, set_to)
    many = flag is not None and flag.kind is Kind.LIST
    values = resolved.words(name) if many else (sources[-1].text,)
    if name == "data-dir":
        values = (str(resolved.data),)
    commanded = tuple(one.text for one in sources if one.origin.source is Source.COMMAND_LINE)
    origin = sources[-1].origin.source.value
    if commanded:
        given = configuration.given(option, ("server", *(f"--{name}={one}" for one in commanded)))
        in_unit = configuration.given(option, base) == given
        origin = "config" if given == set_to else "unit" if in_unit else "another drop-in"
    return Setting(name, values, origin, option.what, set_to, sources)


def _limit(name: str, state: UnitState, set_to: tuple[str, ...]) -> Setting:
    what = LIMITS[name].what
    values = configuration.effective(name, state) if state.installed else set_to
    if not values:
        return Setting(name, (), "default", what, set_to)
    return Setting(name, values, "config" if values == set_to else "another drop-in", what, set_to)


def notes(resolved: Settings) -> list[str]:
    """Say which configuration files K3s reads, and what of them it does not take."""
    lines = []
    for file in resolved.files:
        if file.missing:
            lines.append(f"K3s takes nothing from {file.path}: {file.missing}")
        elif not isinstance(file.entries, Unknown):
            lines.append(f"K3s also reads {file.path}")
    lines += [
        f"K3s skips `{one.name}` ({one.origin}): this release has no such option"
        for one in resolved.skipped
    ]
    return [*lines, *(f"not known: {problem}" for problem in resolved.problems)]


def base_argv(context: Context, directory: Path, state: UnitState) -> tuple[str, ...]:
    """Return the command of the unit file itself; empty where there is none."""
    try:
        text = installation.text_to_build_on(context, directory, state)
    except RootlessError:
        return ()
    return tuple(word.strip("\"'") for word in configuration.command_words(text))


def _source(value: Value) -> dict[str, Any]:
    origin = value.origin
    return {
        "value": value.text,
        "origin": origin.source.value,
        "path": str(origin.path) if origin.path else None,
        "line": origin.line or None,
        "variable": origin.variable or None,
    }


def document(answer: Answer) -> dict[str, Any]:
    """Give the answer of `list` as JSON has it."""
    return {
        "settings": [one.document() for one in answer.settings],
        "drop_in": answer.drop_in,
        "restart_needed": answer.restart_needed,
        "config_files": [
            {"path": str(file.path), "missing": file.missing or None}
            for file in answer.resolved.files
        ],
        "skipped": [
            {"name": one.name, "path": str(one.origin.path), "line": one.origin.line}
            for one in answer.resolved.skipped
        ],
        "unknown": list(answer.resolved.problems),
        "errors": [],
    }
