"""Set and unset server flags and limits, and check that systemd has loaded them.

Values are first checked against the rules of K3s and against this host.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import own_settings
from k3s_rootless.atomic import reason
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s import node_labels, options, version
from k3s_rootless.linux import sockets
from k3s_rootless.operations import change_drop_in, first_start, installation, rotation
from k3s_rootless.operations.configuration import (
    consequences,
    datastore,
    node_drift,
    own,
    settings_list,
)
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.drop_ins import configuration
from k3s_rootless.service.drop_ins.limits import LIMITS, Limit, doubtful, too_low
from k3s_rootless.service.facts import DesiredDropIn
from k3s_rootless.service.observe import data_directory
from k3s_rootless.service.unit import text as unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.configuration.setting import Setting
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

_HINT = """list the settings with: k3s-rootless config list
set other flags of K3s in a drop-in of your own: systemctl --user edit k3s-rootless"""
_SEVERAL_MACHINES = "docs/explanation/alternatives.md#more-than-one-machine"
_PATHS = frozenset({"data-dir", "log"})


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of a change.

    The unit after the change (None if only settings of k3s-rootless itself changed), whether
    anything changed, why a restart is needed, and the new state of the changed settings.
    """

    state: UnitState | None
    changed: bool
    restart_needed: str | None
    settings: tuple[Setting, ...]


def require_known(name: str) -> str:
    """Return a setting's name in its usual spelling.

    Raises UsageError with the reason for a name that cannot be set.
    """
    name = name.removeprefix("--")
    known = {one.lower(): one for one in (*options.OPTIONS, *LIMITS, *own_settings.NAMES)}
    if name.lower() in known:
        return known[name.lower()]
    if name in options.REFUSED:
        hint = "list the settings with: k3s-rootless config list"
        if name == "server":
            hint = f"to use more than one machine, read: {_SEVERAL_MACHINES}"
        raise UsageError(
            f"cannot set `{name}` for rootless K3s: {options.REFUSED[name]}", hint=hint
        )
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean `{known[close[0]]}`?" if close else _HINT
    raise UsageError(f"unknown setting `{name}`", hint=hint)


def change(context: Context, changes: Mapping[str, Sequence[str]], *, force: bool) -> Changed:
    """Set settings to values, or to no value, and check that systemd has loaded them.

    Raises UsageError for a value that K3s or this host does not accept, WouldOverwrite,
    RootlessError.
    """
    ours = {name: values for name, values in changes.items() if name in own_settings.NAMES}
    rest = {name: values for name, values in changes.items() if name not in ours}
    done = Changed(None, changed=False, restart_needed=None, settings=())
    if rest:
        done = _change_unit(context, rest, force=force)
    if not ours:
        return done
    changed = own.change(context, ours)
    rows = tuple(row for row in own.settings(context) if row.name in ours)
    return replace(done, changed=done.changed or changed, settings=(*done.settings, *rows))


def _change_unit(context: Context, changes: Mapping[str, Sequence[str]], *, force: bool) -> Changed:
    """Change settings that are stored in our drop-in."""
    with context.manager() as manager, context.locked():
        directory = first_start.unit_directory(manager, context.paths)
        state = manager.unit(UNIT)
        found = installation.drop_in(directory, configuration.SUBJECT)
        before = configuration.parse(found.text or "")
        text = ""
        if any(name in options.OPTIONS for name in (*before, *changes)):
            text = _text_with_command(context, directory, state)
        release = version.parse(unit.written_for(text) or "")
        checked = {
            name: _checked(context, name, values, release) for name, values in changes.items()
        }
        configured = {name: values for name, values in (before | checked).items() if values}
        consequences.report(context, before, configured, changes)
        rendered = configuration.render(configured, configuration.command_words(text))
        state, changed = change_drop_in.perform(
            context,
            manager,
            [(found, DesiredDropIn(found.path, rendered, configuration.MODE))],
            f"{'set' if any(changes.values()) else 'unset'} {', '.join(changes)}",
            lambda now: configuration.differs(configured, now),
            force=force,
        )
        if "https-listen-port" in changes:
            _renew_certificates(context, manager, state)
        base = settings_list.base_argv(context, directory, state)
        resolved = settings_list.next_start(context, state, manager.environment, configured, base)
    for one in node_drift.read(context, state, resolved, set(changes)):
        context.notice(one.describe())
    if datastore.NAME in changes:
        for line in datastore.consequences(resolved, release):
            context.notice(f"{datastore.NAME}: {line}")
    rows = tuple(settings_list.setting(name, state, resolved, configured, base) for name in changes)
    cause = settings_list.restart_cause(context, state, directory)
    return Changed(state, changed, cause, rows)


def _text_with_command(context: Context, directory: Path, state: UnitState) -> str:
    """Return the text of the unit that server flags are added to.

    Raises RootlessError if there is no such unit, or if it has no command.
    """
    text = installation.text_to_build_on(context, directory, state)
    if not configuration.command_words(text):
        raise RootlessError(
            "cannot set server flags: the unit has no ExecStart=",
            hint="check it with: k3s-rootless unit show",
        )
    return text


def _renew_certificates(context: Context, manager: UserManager, state: UnitState) -> None:
    """Renew K3s's certificates if K3s is stopped and its next start would fail without that."""
    if not state.installed:
        return
    step = rotation.needed(context, manager.environment, state)
    if step is None:
        return
    if state.active_state not in {"inactive", "failed"}:
        renewal = "the next restart renews K3s's certificates (k3s certificate rotate)"
        context.notice(f"https-listen-port: {renewal}: {step.cause}")
        return
    context.notice(f"{step.describe()}: {step.cause}")
    apply.perform(step, manager)


def _checked(
    context: Context, name: str, values: Sequence[str], release: Version | None
) -> tuple[str, ...]:
    """Return the values in the form in which they will be read back, without duplicates."""
    option = options.OPTIONS.get(name)
    takes_many = option is not None and option.many
    if len(values) > 1 and not takes_many:
        raise UsageError(f"cannot set {name} to {len(values)} values: it accepts only one")
    checked = []
    for value in values:
        try:
            if option is not None:
                checked.append(option.read(_expanded(context, name, value), release))
                _require_usable(context, name, checked[-1])
            else:
                checked.append(_checked_limit(context, LIMITS[name], value))
        except ValueError as error:
            raise UsageError(f"cannot set {name} to `{value}`: {error}") from None
    problem = node_labels.contradiction(name, checked)
    if problem:
        raise UsageError(f"cannot set {name}: {problem}")
    return tuple(dict.fromkeys(checked))


def _checked_limit(context: Context, limit: Limit, value: str) -> str:
    """Return a limit in the form in which it will be read back; warn if it may be too low.

    Raises ValueError for a limit that systemd does not accept, or that makes K3s fail.
    """
    canonical = configuration.canonical(limit, value)
    size = limit.read(value)
    cause = too_low(limit, size)
    if cause:
        raise ValueError(cause)
    doubt = doubtful(limit, size)
    if doubt:
        context.notice(f"warning: {limit.name}={doubt}")
    return canonical


def _expanded(context: Context, name: str, value: str) -> str:
    if name in _PATHS and (value == "~" or value.startswith("~/")):
        return str(context.paths.home) + value[1:]
    return value


def _require_usable(context: Context, name: str, value: str) -> None:
    """Raise ValueError for a value that this host does not allow."""
    if name == "https-listen-port":
        first = sockets.unprivileged_from()
        if int(value) < first:
            raise ValueError(f"only root can listen on ports below {first} on this host")
    if name == "data-dir":
        _require_usable_directory(context, Path(value))
    if name == "log":
        _require_writable_file(Path(value))


def _require_writable_file(path: Path) -> None:
    """Raise ValueError for a file that K3s cannot write; K3s creates missing directories."""
    try:
        existing = next(one for one in (path, *path.parents) if one.exists())
    except OSError as error:
        raise ValueError(f"it cannot be checked: {reason(error)}") from error
    if existing == path and not path.is_file():
        raise ValueError("it is not a regular file")
    if existing != path and not existing.is_dir():
        raise ValueError(f"{existing} is not a directory")
    needed = os.W_OK
    if existing.is_dir():
        needed |= os.X_OK
    if not os.access(existing, needed):
        raise ValueError(f"you cannot write to {existing}")


def _require_usable_directory(context: Context, directory: Path) -> None:
    try:
        existing = next(path for path in (directory, *directory.parents) if path.exists())
    except OSError as error:
        raise ValueError(f"it cannot be checked: {reason(error)}") from error
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"you cannot write to {existing}")
    problem = data_directory.unusable(directory, context.paths.home)
    if problem:
        raise ValueError(f"{problem}; {options.DATA_DIRECTORY_HINT}")
