"""Set and unset variables of K3s's environment, either all of them or none.

The values are checked before anything is written, and compared with systemd's values afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.observation import Known
from k3s_rootless.operations import change_drop_in, k3s_search
from k3s_rootless.operations.environment import reading, surroundings
from k3s_rootless.service.drop_ins import environment as environment_drop_in
from k3s_rootless.service.environment.precedence import Origin
from k3s_rootless.service.environment.variables import VARIABLES, Effect
from k3s_rootless.service.facts import DesiredDropIn
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.environment.reading import ObservedEnvironment
    from k3s_rootless.service.environment.precedence import Layer, Resolved
    from k3s_rootless.service.environment.variables import Judgement
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class ChangedVariable:
    """One variable after a change.

    `origin` is where it was set, or None if it was unset; `undone` is True if it was set there
    before. `above` are the layers that override the new value, or that still set an unset variable.
    """

    name: str
    resolved: Resolved
    above: tuple[Layer, ...]
    origin: Origin | None = None
    judgement: Judgement | None = None
    undone: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """The environment after a change; `runtime` is True if only the user manager was changed."""

    after: ObservedEnvironment
    variables: tuple[ChangedVariable, ...]
    changed: bool
    runtime: bool


def set_variables(
    context: Context, values: Mapping[str, str], *, runtime: bool = False, force: bool = False
) -> Changed:
    """Set variables for the next start of K3s; with `runtime`, in the user manager only.

    Raises UsageError for a value that makes K3s fail, WouldOverwrite, RootlessError if systemd has
    another value afterwards.
    """
    with context.manager() as manager, context.locked():
        seen = reading.read(context, manager)
        judgements = _judged(context, seen, values)
        if runtime:
            state = seen.state
            changed = _change_manager(manager, values, ())
        else:
            state, changed = _change_drop_in(context, manager, seen, values, (), force=force)
        # The unit is not queried again, because it was just read after the change.
        after = reading.read(context, manager, state)
    origin = Origin.MANAGER if runtime else Origin.DROP_IN
    rows = [_set_variable(after, name, origin, judgements[name]) for name in values]
    return Changed(after, tuple(rows), changed, runtime)


def unset_variables(
    context: Context, names: Sequence[str], *, runtime: bool = False, force: bool = False
) -> Changed:
    """Remove the values that `set_variables` set; values from other sources remain.

    Raises WouldOverwrite, RootlessError if systemd still has a value afterwards.
    """
    names = tuple(dict.fromkeys(names))
    with context.manager() as manager, context.locked():
        seen = reading.read(context, manager)
        undone = {name for name in names if _is_set(seen, name, runtime=runtime)}
        if runtime:
            state = seen.state
            changed = _change_manager(manager, {}, names)
        else:
            state, changed = _change_drop_in(context, manager, seen, {}, names, force=force)
        after = reading.read(context, manager, state)
    rows = [_unset_variable(after, name, undone=name in undone) for name in names]
    return Changed(after, tuple(rows), changed, runtime)


def _judged(
    context: Context, seen: ObservedEnvironment, values: Mapping[str, str]
) -> dict[str, Judgement]:
    """Check new values together with the other values, and report warnings.

    Raises UsageError for a value that makes K3s fail.
    """
    release = seen.version or _installed_release(context)
    around = surroundings.of(context, seen, {**seen.values(), **values}, release)
    found = {name: surroundings.judged(name, value, around) for name, value in values.items()}
    for name, judgement in found.items():
        if judgement.effect is Effect.FATAL:
            hint = (
                f"valid values: {VARIABLES[name].takes}; to use K3s's default:"
                f" k3s-rootless env unset {name}"
            )
            raise UsageError(f"cannot set {name}: {judgement.reason}", hint=hint)
        for message in judgement.messages:
            context.notice(f"warning: {name}: {message}")
    return found


def _installed_release(context: Context) -> Version | None:
    binary = k3s_search.found(context)
    if isinstance(binary.version, Known):
        return binary.version.value
    return None


def _change_drop_in(
    context: Context,
    manager: UserManager,
    seen: ObservedEnvironment,
    values: Mapping[str, str],
    gone: Sequence[str],
    *,
    force: bool,
) -> tuple[UnitState, bool]:
    """Write our drop-in; return the unit afterwards, and whether anything changed."""
    own = files.read(seen.own_path)
    assigned = {**environment_drop_in.read(own.text), **values}
    kept = {name: value for name, value in assigned.items() if name not in gone}

    def differs(state: UnitState) -> str | None:
        return _difference(state, own.path, values, gone)

    desired = DesiredDropIn(own.path, environment_drop_in.render(kept), environment_drop_in.MODE)
    verb = "set" if values else "unset"
    cause = f"{verb} {', '.join(values or gone)}"
    return change_drop_in.perform(context, manager, [(own, desired)], cause, differs, force=force)


def _difference(
    state: UnitState, own: Path, values: Mapping[str, str], gone: Sequence[str]
) -> str | None:
    """Return how systemd's values differ from the change; None if they match."""
    assigned = reading.assigned_by(state)
    for name in values:
        value, path = assigned.get(name, (None, None))
        if value == values[name]:
            continue
        if path is None:
            return f"it does not set {name}"
        return f"{path} also sets {name}, and is read later"
    remaining = [name for name in gone if name in assigned and assigned[name][1] in {None, own}]
    if remaining:
        return f"it still sets {', '.join(remaining)}"
    return None


def _change_manager(manager: UserManager, values: Mapping[str, str], gone: Sequence[str]) -> bool:
    """Change the environment of the user manager; return whether anything changed.

    Raises RootlessError after restoring the earlier values.
    """
    before = manager.environment
    are_set = all(before.get(name) == value for name, value in values.items())
    if are_set and not any(name in before for name in gone):
        return False
    manager.change_environment(gone, values)
    after = manager.environment
    refused = [name for name, value in values.items() if after.get(name) != value]
    if refused:
        new = [name for name in values if name not in before]
        replaced = {name: before[name] for name in values if name in before}
        manager.change_environment(new, replaced)
        raise RootlessError(
            f"the user manager did not accept {', '.join(refused)}",
            hint="check its environment with: systemctl --user show-environment",
        )
    return True


def _is_set(seen: ObservedEnvironment, name: str, *, runtime: bool) -> bool:
    """Return whether our drop-in sets a variable; with `runtime`, whether the user manager does."""
    if runtime:
        return any(layer.origin is Origin.MANAGER for layer in seen.resolved(name).layers)
    return name in environment_drop_in.read(files.or_problem(seen.own_path).text)


def _set_variable(
    after: ObservedEnvironment, name: str, origin: Origin, judgement: Judgement
) -> ChangedVariable:
    resolved = after.resolved(name)
    file = after.own_path.name if origin is Origin.DROP_IN else ""
    above = resolved.above(origin, file)
    return ChangedVariable(name, resolved, above, origin, judgement)


def _unset_variable(after: ObservedEnvironment, name: str, *, undone: bool) -> ChangedVariable:
    resolved = after.resolved(name)
    return ChangedVariable(name, resolved, resolved.layers, undone=undone)
