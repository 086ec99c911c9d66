"""The expected unit and the current unit, both read before a plan is made."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotRunning, PreflightFailed, UsageError
from k3s_rootless.k3s import features
from k3s_rootless.observation import Known
from k3s_rootless.operations import server_settings, unit_changes
from k3s_rootless.operations.first_start import foreseen
from k3s_rootless.paths import UNIT
from k3s_rootless.rootlesskit.state import leftovers
from k3s_rootless.service.drop_ins import drop_in as dropin
from k3s_rootless.service.facts import DesiredUnit, Found, UnitSettings
from k3s_rootless.service.observe import files
from k3s_rootless.service.unit import shipped
from k3s_rootless.service.unit import text as unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3s_rootless.operations.context import Context
    from k3s_rootless.preflight.facts import K3sBinary
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.systemd.user import UserManager


def desired(k3s: K3sBinary, directory: Path, given: Path | None = None) -> DesiredUnit:
    """Return the unit for the K3s that was found, or the unit in the file `given`.

    Raises PreflightFailed if there is no usable K3s, UsageError if `given` cannot be adopted.
    """
    # Imported here: loading takes 2 ms, and `env list` needs only the drop-ins.
    from k3s_rootless.k3s.unit_path import unit_search

    release, binary = k3s.version, k3s.path
    if not isinstance(release, Known) or binary is None:
        reason = "k3s was not found"
        if binary:
            reason = "the version of k3s is not known"
        raise PreflightFailed(
            f"cannot render the unit: {reason}", hint="find out why with: k3s-rootless check k3s"
        )
    variant = features.unit_variant(release.value)
    if variant is None:
        raise PreflightFailed(
            f"cannot render the unit: K3s {release.value} ships no unit for rootless mode",
            hint="use K3s v1.22 or later",
        )
    settings = UnitSettings(
        version=str(release.value), server=variant.value, binary=binary, search=unit_search()
    )
    if given is None:
        text = files.read(directory / UNIT).text or ""
        if not unit.is_rendered_from(text, settings):
            text = unit.render(settings)
        return DesiredUnit(directory / UNIT, text, settings.version)
    given_text = files.read(given).text
    if given_text is None:
        raise UsageError(f"cannot use {given}: the file does not exist")
    return DesiredUnit(
        directory / UNIT,
        shipped.adopted(given_text, settings, str(given)),
        settings.version,
        given=True,
    )


def text_to_build_on(context: Context, directory: Path, state: UnitState) -> str:
    """Return the text of the unit that our drop-ins extend.

    This is the installed unit, or else the unit that `up` would write. Raises RootlessError if
    there is neither.
    """
    for path in (directory / UNIT, state.fragment):
        if path is None:
            continue
        text = files.read(path).text
        if text is not None:
            return text
    # Imported here: loading takes 15 ms, and only a first `config` finds no unit.
    from k3s_rootless.operations import k3s_search

    k3s = k3s_search.found(context)
    return desired(k3s, directory).text


def found(context: Context, manager: UserManager, path: Path, *, reexecute: bool = False) -> Found:
    """Read the unit file and the state of the unit, before a plan is made."""
    file = files.read(path)
    state = observed(manager, path.parent)
    changed = unit_changes.last(context, state, drop_in_directory(path.parent))
    left = left_behind(context, foreseen(state, path.parent), manager.environment)
    return Found(
        file.text, file.written, state, reexecute=reexecute, leftovers=left, changed=changed
    )


def observed(manager: UserManager, directory: Path) -> UnitState:
    """Return the unit as systemd has loaded it.

    `needs_reload` is set if the directory of the user's own units has changed since then.
    """
    state = manager.unit(UNIT)
    # systemd 247 and 252 do not notice a drop-in in a directory that did not exist when they loaded
    # the unit. If two drop-ins have the same name, systemd reads only one. An empty drop-in sets
    # nothing.
    read = {path.name for path in state.drop_ins}
    unread = (path for path in drop_in_directory(directory).glob("*.conf") if path.name not in read)
    if any(map(_sets_something, unread)):
        state = replace(state, needs_reload=True)
    return state


def _sets_something(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False  # systemd cannot read it either
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def left_behind(context: Context, state: UnitState, manager: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that remain from a K3s that was killed; none while the unit runs."""
    if state.running:
        return ()
    settings = server_settings.of_next_start(context, state, manager)
    return leftovers(settings.rootlesskit_state, context.uid)


def drop_in_directory(directory: Path) -> Path:
    """Return the directory of the unit's drop-ins, in the directory of the user's own units."""
    return directory / f"{UNIT}{dropin.DIRECTORY_SUFFIX}"


def drop_in(directory: Path, subject: str) -> FoundFile:
    """Read our drop-in for a subject. Raises RootlessError."""
    return files.read(drop_in_directory(directory) / dropin.name(subject))


def drop_ins(directory: Path, state: UnitState) -> tuple[FoundFile, ...]:
    """Read all drop-ins of the unit, ours and others. Raises RootlessError."""
    return files.drop_ins(drop_in_directory(directory), state)


def absence(state: UnitState) -> NotRunning:
    """Return the error for a unit that does not exist or is masked."""
    if state.load_state == "masked":
        return NotRunning(
            f"`{state.name}` is masked, so it cannot be started",
            hint=f"unmask it with: systemctl --user unmask {state.name}",
        )
    return NotRunning(
        "K3s is not installed for this user", hint="install and start it with: k3s-rootless up"
    )
