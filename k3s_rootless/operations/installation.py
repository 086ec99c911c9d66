"""The unit as it should be and as it was found, before a plan is made."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import NotRunning, PreflightFailed, UsageError
from k3s_rootless.observation import Known
from k3s_rootless.operations import unit_changes
from k3s_rootless.operations.first_start import foreseen
from k3s_rootless.paths import UNIT
from k3s_rootless.service.drop_ins import drop_in as dropin
from k3s_rootless.service.facts import DesiredDropIn, DesiredUnit, Found, UnitSettings
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from collections.abc import Mapping

    from k3s_rootless.operations.context import Context
    from k3s_rootless.preflight.facts import K3sBinary
    from k3s_rootless.service.facts import FoundFile, UnitState
    from k3s_rootless.service.plan.steps import Step
    from k3s_rootless.service.systemd.user import UserManager

WAITING = "waiting for another k3s-rootless to end"


def desired(k3s: K3sBinary, directory: Path, given: Path | None = None) -> DesiredUnit:
    """Render the unit for the K3s that was found, or take the one that the user has brought.

    Raises PreflightFailed where there is no K3s to render for, UsageError where what was brought is
    not its unit.
    """
    from k3s_rootless.k3s import features
    from k3s_rootless.k3s.unit_path import unit_search
    from k3s_rootless.service.unit import text as unit

    release, binary = k3s.version, k3s.path
    if not isinstance(release, Known) or binary is None:
        reason = "its version is not known" if binary else "there is no k3s binary"
        raise PreflightFailed(
            f"cannot render the unit: {reason}", hint="see `k3s-rootless check k3s`"
        )
    variant = features.unit_variant(release.value)
    if variant is None:
        raise PreflightFailed(
            f"cannot render the unit: K3s {release.value} ships none for rootless mode",
            hint="use K3s v1.22 or later",
        )
    settings = UnitSettings(
        version=str(release.value), server=variant.value, binary=binary, search=unit_search()
    )
    if given is None:
        there = files.read(directory / UNIT).text or ""
        text = there if unit.is_rendered_from(there, settings) else unit.render(settings)
        return DesiredUnit(directory / UNIT, text, settings.version)
    from k3s_rootless.service.unit import shipped

    brought = files.read(given).text
    if brought is None:
        raise UsageError(f"cannot use {given}: there is no such file")
    return DesiredUnit(
        directory / UNIT,
        shipped.adopted(brought, settings, str(given)),
        settings.version,
        given=True,
    )


def text_to_build_on(context: Context, directory: Path, state: UnitState) -> str:
    """Give the unit that drop-ins of ours build on: the one that is installed, or else the one that
    `up` would write.

    Raises RootlessError where there is neither.
    """
    from k3s_rootless.k3s.unit_path import unit_search
    from k3s_rootless.preflight.probes import host as probes

    for path in (directory / UNIT, state.fragment):
        if path is not None and (text := files.read(path).text) is not None:
            return text
    return desired(
        probes.k3s_binary(context.environ, unit_search(), context.paths.home), directory
    ).text


def found(context: Context, manager: UserManager, path: Path, *, reexecute: bool = False) -> Found:
    """Observe the unit file and the unit, before a plan is made."""
    file = files.read(path)
    state = observed(manager, path.parent)
    changed = unit_changes.last(context, state, drop_in_directory(path.parent))
    left = left_behind(context, foreseen(state, path.parent), manager.environment)
    return Found(
        file.text, file.written, state, reexecute=reexecute, leftovers=left, changed=changed
    )


def observed(manager: UserManager, directory: Path) -> UnitState:
    """Give the unit as systemd has it, and whether that is what lies in the directory of the user's
    own units.
    """
    state = manager.unit(UNIT)
    # systemd 247 and 252 do not notice a drop-in in a directory that was not there when they read
    # the unit: neither ours nor one that a remedy of ours let the user write. Of two with one name
    # it reads one, and one without content says nothing.
    read = {path.name for path in state.drop_ins}
    unread = (path for path in drop_in_directory(directory).glob("*.conf") if path.name not in read)
    if any(map(_says_something, unread)):
        state = replace(state, needs_reload=True)
    return state


def _says_something(path: Path) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False  # nor can systemd read it for this user
    return stat.S_ISREG(found.st_mode) and found.st_size > 0


def left_behind(context: Context, state: UnitState, manager: Mapping[str, str]) -> tuple[Path, ...]:
    """List what an earlier K3s that was killed left behind; nothing while the unit runs."""
    if state.running:
        return ()
    from k3s_rootless.operations import server_settings
    from k3s_rootless.rootlesskit.state import leftovers

    settings = server_settings.of_next_start(context, state, manager)
    return leftovers(settings.rootlesskit_state, context.uid)


def renewed_drop_ins(context: Context, wanted: DesiredUnit, *, force: bool) -> tuple[Step, ...]:
    """Give the steps that build our drop-ins anew on the unit as it will be; says which somebody
    edited, and so stay.

    Raises RootlessError where one cannot be read.
    """
    from k3s_rootless.service.plan import planner
    from k3s_rootless.service.unit.seal import Author, author

    steps: list[Step] = []
    for file, rendered in rebuilt(wanted):
        if not force and file.text is not None and author(file.text) is not Author.OURS:
            context.notice(f"kept as it is: {file.path}, {author(file.text).value}")
        steps += planner.renewal(rendered, file, force=force)
    return tuple(steps)


def rebuilt(wanted: DesiredUnit) -> tuple[tuple[FoundFile, DesiredDropIn], ...]:
    """Give those drop-ins of ours that are there, each as it should be beside this unit: with all
    that it sets, and no more.

    Raises RootlessError where one cannot be read.
    """
    if not any(map(dropin.is_ours, files.names(drop_in_directory(wanted.path.parent)) or ())):
        return ()
    from k3s_rootless.service.drop_ins import configuration, environment

    def settings(text: str) -> str | None:
        return configuration.render(
            configuration.parse(text), configuration.command_words(wanted.text)
        )

    def variables(text: str) -> str | None:
        return environment.render(environment.read(text))

    kinds = (
        (configuration.SUBJECT, settings, configuration.MODE),
        (environment.SUBJECT, variables, environment.MODE),
    )
    found = []
    for subject, render, mode in kinds:
        file = drop_in(wanted.path.parent, subject)
        if file.text is not None:
            found.append((file, DesiredDropIn(file.path, render(file.text), mode)))
    return tuple(found)


def drop_in_directory(directory: Path) -> Path:
    """Give the directory of the unit's drop-ins, in the directory of the user's own units."""
    return directory / f"{UNIT}{dropin.DIRECTORY_SUFFIX}"


def drop_in(directory: Path, subject: str) -> FoundFile:
    """Read our drop-in about a subject. Raises RootlessError."""
    return files.read(drop_in_directory(directory) / dropin.name(subject))


def drop_ins(directory: Path, state: UnitState) -> tuple[FoundFile, ...]:
    """Read all drop-ins of the unit, ours and those of others. Raises RootlessError."""
    return files.drop_ins(drop_in_directory(directory), state)


def absence(state: UnitState) -> NotRunning:
    """Give the error for a unit that there is none of."""
    if state.load_state == "masked":
        return NotRunning(
            f"`{state.name}` is masked, so nothing can start it",
            hint=f"systemctl --user unmask {state.name}",
        )
    return NotRunning(
        "K3s is not installed for this user", hint="install and start it with: k3s-rootless up"
    )
