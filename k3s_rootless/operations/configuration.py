"""What `config` sets: settings checked against K3s's rules and this host, written, and read back
from systemd.
"""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.atomic import reason
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s import options, version
from k3s_rootless.linux import sockets
from k3s_rootless.operations import (
    change_drop_in,
    configuration_list,
    first_start,
    installation,
    unit_changes,
)
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.drop_ins import configuration, drop_in
from k3s_rootless.service.drop_ins.limits import LIMITS, Limit, doubtful, too_low
from k3s_rootless.service.facts import DesiredDropIn
from k3s_rootless.service.observe import data_directory
from k3s_rootless.service.unit import text as unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.configuration_list import Setting
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.drop_ins.configuration import Configuration
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

_HINT = """see what there is: k3s-rootless config list
other flags of K3s go into a drop-in of your own: systemctl --user edit k3s-rootless"""
_FORWARDED_BY_TRAEFIK = {"10080": "80", "10443": "443"}


@dataclass(frozen=True, slots=True)
class Changed:
    """The unit after a change, whether anything changed, why K3s should be restarted, and the
    settings as they are.
    """

    state: UnitState
    changed: bool
    restart_needed: str | None
    settings: tuple[Setting, ...]


def require_known(name: str) -> str:
    """Give a setting's name as it is spelled.

    Raises UsageError for one that cannot be set, with the reason.
    """
    name = name.removeprefix("--")
    known = {one.lower(): one for one in (*options.OPTIONS, *LIMITS)}
    if found := known.get(name.lower()):
        return found
    if reason := options.REFUSED.get(name):
        raise UsageError(
            f"cannot set `{name}` for rootless K3s: {reason}",
            hint="see what can be: k3s-rootless config list",
        )
    close = difflib.get_close_matches(name.lower(), known, n=1)
    hint = f"did you mean `{known[close[0]]}`?" if close else _HINT
    raise UsageError(f"there is no setting `{name}`", hint=hint)


def change(context: Context, changes: Mapping[str, Sequence[str]], *, force: bool) -> Changed:
    """Set settings to values, or to nothing, and see that systemd has it so.

    Raises UsageError for a value that cannot be, WouldOverwrite, RootlessError.
    """
    with (
        context.manager() as manager,
        apply.locked(context.paths.lock, lambda: context.notice(installation.WAITING)),
    ):
        directory = first_start.unit_directory(manager, context.paths)
        state = manager.unit(UNIT)
        found = installation.drop_in(directory, configuration.SUBJECT)
        before = configuration.parse(found.text or "")
        flags = any(name in options.OPTIONS for name in (*before, *changes))
        text = installation.text_to_build_on(context, directory, state) if flags else ""
        words = configuration.command_words(text)
        if flags and not words:
            raise RootlessError(
                "cannot build on the unit: it has no ExecStart=",
                hint="look at it: k3s-rootless unit show",
            )
        release = version.parse(unit.written_for(text) or "")
        checked = {
            name: _checked(context, name, values, release) for name, values in changes.items()
        }
        wanted = {name: values for name, values in (before | checked).items() if values}
        _mind(context, wanted, changes)
        desired = DesiredDropIn(found.path, configuration.render(wanted, words), configuration.MODE)
        state, changed = change_drop_in.perform(
            context,
            manager,
            [(found, desired)],
            "it was asked for",
            lambda now: configuration.differs(wanted, now),
            force=force,
        )
        if "https-listen-port" in changes:
            _renew_certificates(context, manager, state)
        newest = unit_changes.last(context, state, installation.drop_in_directory(directory))
        base = configuration_list.base_argv(context, directory, state)
        resolved = configuration_list.next_start(context, state, manager.environment, wanted, base)
    rows = tuple(
        configuration_list.setting(name, state, resolved, wanted, base) for name in changes
    )
    owed = drop_in.restart_owed(state, newest) or configuration_list.config_changed(context, state)
    return Changed(state, changed, owed, rows)


def _renew_certificates(context: Context, manager: UserManager, state: UnitState) -> None:
    """Renew K3s's certificates if its next start would die without that, and K3s is stopped."""
    from k3s_rootless.operations import rotation

    step = rotation.needed(context, manager.environment, state) if state.installed else None
    if step is None:
        return
    if state.active_state not in {"inactive", "failed"}:
        told = "the next restart renews K3s's certificates (k3s certificate rotate)"
        context.notice(f"https-listen-port: {told}: {step.cause}")
        return
    context.notice(f"{step.describe()}: {step.cause}")
    apply.perform(step, manager)


def _checked(
    context: Context, name: str, values: Sequence[str], release: Version | None
) -> tuple[str, ...]:
    option, limit = options.OPTIONS.get(name), LIMITS.get(name)
    if len(values) > 1 and not (option and option.many):
        raise UsageError(f"cannot set {name} to {len(values)} values: it takes one")
    checked = []
    for value in values:
        try:
            if limit is not None:
                checked.append(configuration.canonical(limit, value))
                _require_enough(context, limit, value)
            elif option is not None:
                checked.append(option.read(_expanded(context, name, value), release))
                _require_usable(context, name, checked[-1])
        except ValueError as error:
            raise UsageError(f"cannot set {name} to `{value}`: {error}") from None
    return tuple(dict.fromkeys(checked))


def _require_enough(context: Context, limit: Limit, value: str) -> None:
    """Refuse a limit that K3s dies of, and warn about one that may be too low.

    Raises ValueError.
    """
    size = limit.read(value)
    if reason := too_low(limit, size):
        raise ValueError(reason)
    if doubt := doubtful(limit, size):
        context.notice(f"warning: {limit.name}={doubt}")


def _expanded(context: Context, name: str, value: str) -> str:
    if name == "data-dir" and (value == "~" or value.startswith("~/")):
        return str(context.paths.home) + value[1:]
    return value


def _require_usable(context: Context, name: str, value: str) -> None:
    if name == "https-listen-port":
        first = sockets.unprivileged_from()
        if int(value) < first:
            raise ValueError(f"this host lets only root listen on ports below {first}")
    if name == "data-dir":
        try:
            existing = next(path for path in (Path(value), *Path(value).parents) if path.exists())
        except OSError as error:
            raise ValueError(f"it cannot be looked at: {reason(error)}") from error
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise ValueError(f"you cannot write into {existing}")
        if problem := data_directory.unusable(Path(value), context.paths.home):
            raise ValueError(f"{problem}; {options.DATA_DIRECTORY_HINT}")


def _mind(context: Context, wanted: Configuration, changes: Mapping[str, Sequence[str]]) -> None:
    """Tell what follows from a change, besides itself."""
    for name in changes:
        if (option := options.OPTIONS.get(name)) and option.note and wanted.get(name):
            context.notice(f"{name}: {option.note}")
    disabled = wanted.get("disable", ())
    if "disable" in changes:
        for one in set(disabled) - set(options.COMPONENTS):
            context.notice(
                f"disable: K3s packs no component `{one}`; it disables an AddOn of yours of that"
                " name"
            )
        if "servicelb" in disabled:
            context.notice("disable: without servicelb K3s forwards the API's port and no other")
    port = wanted.get("https-listen-port", ("",))[0]
    if port in _FORWARDED_BY_TRAEFIK and not {"traefik", "servicelb"} & set(disabled):
        inside = _FORWARDED_BY_TRAEFIK[port]
        context.notice(
            f"https-listen-port: traefik's port {inside} wants host port {port} too, and K3s does"
            " not notice"
        )
