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
from k3s_rootless.cli import changing, config_list, first_start, install, unit_changes
from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s import options, version
from k3s_rootless.linux import sockets
from k3s_rootless.paths import UNIT
from k3s_rootless.service.act import apply
from k3s_rootless.service.drop_ins import configuration, drop_in
from k3s_rootless.service.drop_ins.limits import LIMITS, Limit, doubtful, too_low
from k3s_rootless.service.facts import DesiredDropIn
from k3s_rootless.service.observe import data_directory
from k3s_rootless.service.unit import text as unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.cli.config_list import Setting
    from k3s_rootless.cli.session import Session
    from k3s_rootless.k3s.version import Version
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


def change(session: Session, changes: Mapping[str, Sequence[str]], *, force: bool) -> Changed:
    """Set settings to values, or to nothing, and see that systemd has it so.

    Raises UsageError for a value that cannot be, WouldOverwrite, RootlessError.
    """
    with (
        session.manager() as manager,
        apply.locked(session.paths.lock, lambda: session.report.story(install.WAITING)),
    ):
        directory = first_start.unit_directory(manager, session.paths)
        state = manager.unit(UNIT)
        found = install.drop_in(directory, configuration.SUBJECT)
        before = configuration.parse(found.text or "")
        flags = any(name in options.OPTIONS for name in (*before, *changes))
        text = install.text_to_build_on(session, directory, state) if flags else ""
        words = configuration.command_words(text)
        if flags and not words:
            raise RootlessError(
                "cannot build on the unit: it has no ExecStart=",
                hint="look at it: k3s-rootless unit show",
            )
        release = version.parse(unit.written_for(text) or "")
        checked = {
            name: _checked(session, name, values, release) for name, values in changes.items()
        }
        wanted = {name: values for name, values in (before | checked).items() if values}
        _mind(session, wanted, changes)
        desired = DesiredDropIn(found.path, configuration.render(wanted, words), configuration.MODE)
        state, changed = changing.perform(
            session,
            manager,
            [(found, desired)],
            "it was asked for",
            lambda now: configuration.differs(wanted, now),
            force=force,
        )
        if "https-listen-port" in changes:
            _renew_certificates(session, manager, state)
        newest = unit_changes.last(session, state, install.drop_in_directory(directory))
        base = config_list.base_argv(session, directory, state)
        resolved = config_list.next_start(session, state, manager.environment, wanted, base)
    rows = tuple(config_list.setting(name, state, resolved, wanted, base) for name in changes)
    owed = drop_in.restart_owed(state, newest) or config_list.config_changed(session, state)
    return Changed(state, changed, owed, rows)


def _renew_certificates(session: Session, manager: UserManager, state: UnitState) -> None:
    """Renew K3s's certificates if its next start would die without that, and K3s is stopped."""
    from k3s_rootless.cli import rotation

    step = rotation.needed(session, manager.environment, state) if state.installed else None
    if step is None:
        return
    if state.active_state not in {"inactive", "failed"}:
        told = "the next restart renews K3s's certificates (k3s certificate rotate)"
        session.report.story(f"https-listen-port: {told}: {step.cause}")
        return
    session.report.story(f"{step.describe()}: {step.cause}")
    apply.perform(step, manager)


def _checked(
    session: Session, name: str, values: Sequence[str], release: Version | None
) -> tuple[str, ...]:
    option, limit = options.OPTIONS.get(name), LIMITS.get(name)
    if len(values) > 1 and not (option and option.many):
        raise UsageError(f"cannot set {name} to {len(values)} values: it takes one")
    checked = []
    for value in values:
        try:
            if limit is not None:
                checked.append(configuration.canonical(limit, value))
                _require_enough(session, limit, value)
            elif option is not None:
                checked.append(option.read(_expanded(session, name, value), release))
                _require_usable(session, name, checked[-1])
        except ValueError as error:
            raise UsageError(f"cannot set {name} to `{value}`: {error}") from None
    return tuple(dict.fromkeys(checked))


def _require_enough(session: Session, limit: Limit, value: str) -> None:
    """Refuse a limit that K3s dies of, and warn about one that may be too low.

    Raises ValueError.
    """
    size = limit.read(value)
    if reason := too_low(limit, size):
        raise ValueError(reason)
    if doubt := doubtful(limit, size):
        session.report.story(f"warning: {limit.name}={doubt}")


def _expanded(session: Session, name: str, value: str) -> str:
    if name == "data-dir" and (value == "~" or value.startswith("~/")):
        return str(session.paths.home) + value[1:]
    return value


def _require_usable(session: Session, name: str, value: str) -> None:
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
        if problem := data_directory.unusable(Path(value), session.paths.home):
            raise ValueError(f"{problem}; {options.DATA_DIRECTORY_HINT}")


def _mind(session: Session, wanted: Configuration, changes: Mapping[str, Sequence[str]]) -> None:
    """Tell what follows from a change, besides itself."""
    for name in changes:
        if (option := options.OPTIONS.get(name)) and option.note and wanted.get(name):
            session.report.story(f"{name}: {option.note}")
    disabled = wanted.get("disable", ())
    if "disable" in changes:
        for one in set(disabled) - set(options.COMPONENTS):
            session.report.story(
                f"disable: K3s packs no component `{one}`; it disables an AddOn of yours of that"
                " name"
            )
        if "servicelb" in disabled:
            session.report.story(
                "disable: without servicelb K3s forwards the API's port and no other"
            )
    port = wanted.get("https-listen-port", ("",))[0]
    if port in _FORWARDED_BY_TRAEFIK and not {"traefik", "servicelb"} & set(disabled):
        inside = _FORWARDED_BY_TRAEFIK[port]
        session.report.story(
            f"https-listen-port: traefik's port {inside} wants host port {port} too, and K3s does"
            " not notice"
        )
