"""`k3s-rootless env set` and `unset`: judged before anything is written, and read back from systemd
afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from k3s_rootless.cli import env_input
from k3s_rootless.cli.options import json_option
from k3s_rootless.errors import RootlessError, UsageError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from k3s_rootless.cli.session import Session
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.environment.look import Seen
    from k3s_rootless.service.environment.precedence import Origin
    from k3s_rootless.service.environment.variables import Judgement
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

_RUNTIME = click.option(
    "--runtime",
    is_flag=True,
    help="Only until your user manager ends; for each unit, the weakest of all.",
)
_FORCE = click.option(
    "--force", is_flag=True, help="Replace our drop-in although somebody edited it; a copy is kept."
)
_STDIN = click.option(
    "--stdin",
    is_flag=True,
    help="Read the value of the one NAME without a value from standard input.",
)


@click.command("set")
@click.argument("given", nargs=-1, required=True, metavar="NAME=VALUE...")
@_STDIN
@_RUNTIME
@_FORCE
@json_option
def set_(*, given: tuple[str, ...], stdin: bool, runtime: bool, force: bool, as_json: bool) -> None:
    """Set variables for the next start of K3s, all or none.

    They are kept in a drop-in of ours, read by systemd, and read back. An empty value means what
    K3s does without one.

    Other users of this host can read a password in a command line. Pass a value that has one on
    standard input: `k3s-rootless env set --stdin HTTPS_PROXY < file`; on a terminal it is typed
    without an echo.

    Exit codes: 0 set, 1 systemd has something else and all is as it was, 2 K3s would die of it, or
    there is no such variable, 7 somebody edited our drop-in.
    """
    from k3s_rootless.cli.session import Session

    session = Session.begin("env-set" if as_json else None)
    env_input.warn_of_passwords(session, given)
    wanted = env_input.assignments(given, stdin=stdin)
    with session.manager() as manager, _locked(session):
        _change(session, manager, wanted, (), runtime=runtime, force=force)


@click.command("unset")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_RUNTIME
@_FORCE
@json_option
def unset(*, names: tuple[str, ...], runtime: bool, force: bool, as_json: bool) -> None:
    """Undo what `set` did, for these variables; what others set stays, and is told.

    Exit codes: 0 undone, or there was nothing to undo, 1 it could not be, 2 there is no such
    variable, 7 somebody edited our drop-in.
    """
    from k3s_rootless.cli.session import Session

    session = Session.begin("env-unset" if as_json else None)
    env_input.require_known(names, "unset", strange=True)
    with session.manager() as manager, _locked(session):
        _change(session, manager, {}, tuple(dict.fromkeys(names)), runtime=runtime, force=force)


def _locked(session: Session) -> AbstractContextManager[None]:
    from k3s_rootless.service.act import apply

    return apply.locked(
        session.paths.lock, lambda: session.report.story("waiting for another k3s-rootless to end")
    )


def _change(
    session: Session,
    manager: UserManager,
    wanted: Mapping[str, str],
    gone: tuple[str, ...],
    *,
    runtime: bool,
    force: bool,
) -> None:
    from k3s_rootless.operations.environment import look
    from k3s_rootless.service.environment.precedence import Origin

    seen = look.look(session, manager)
    judged = _judged(session, seen, wanted)
    undone = [name for name in gone if _is_set(seen, name, runtime=runtime)]
    perform = _for_now if runtime else _for_good
    state, changed = perform(session, manager, seen, wanted, gone, force=force)
    # Without another question: it is done, and read back.
    after = look.look(session, manager, state)
    origin = Origin.MANAGER if runtime else Origin.DROP_IN
    rows = [_row(session, after, name, origin, judged.get(name)) for name in wanted]
    for name in gone:
        session.report.answer(
            f"{name} is {'unset' if name in undone else 'not set by k3s-rootless'}"
        )
        rows.append(_row(session, after, name, None, None))
    owed = after.pending()
    if line := look.restart_owed(owed):
        session.report.answer(line)
    session.report.document(
        {
            "changed": changed,
            "runtime": runtime,
            "file": None if runtime else str(after.own_path),
            "verified": runtime or after.state.fragment is not None,
            "variables": rows,
            "pending": None if owed is None else list(owed),
            "errors": [],
        }
    )


def _judged(session: Session, seen: Seen, wanted: Mapping[str, str]) -> dict[str, Judgement]:
    """Judge what is wanted beside what is there; refuse what would kill K3s, and say what else
    there is to say.
    """
    from k3s_rootless.operations.environment import surroundings
    from k3s_rootless.service.environment.variables import VARIABLES, Effect

    if not wanted:
        return {}
    around = surroundings.of(
        session, seen, {**seen.values(), **wanted}, seen.version or _installed(session)
    )
    found = {name: surroundings.judged(name, value, around) for name, value in wanted.items()}
    for name, one in found.items():
        if one.effect is Effect.FATAL:
            hint = f"give it {VARIABLES[name].takes}, or go without: k3s-rootless env unset {name}"
            raise UsageError(f"cannot set {name}: {one.reason}", hint=hint)
        for word in one.words:
            session.report.story(f"warning: {name}: {word}")
    return found


def _installed(session: Session) -> Version | None:
    from k3s_rootless.k3s.unit_path import unit_search
    from k3s_rootless.observation import Known
    from k3s_rootless.preflight.probes import host

    found = host.k3s_binary(session.environ, unit_search(), session.paths.home).version
    return found.value if isinstance(found, Known) else None


def _for_good(
    session: Session,
    manager: UserManager,
    seen: Seen,
    wanted: Mapping[str, str],
    gone: tuple[str, ...],
    *,
    force: bool,
) -> tuple[UnitState, bool]:
    from k3s_rootless.operations import change_drop_in
    from k3s_rootless.operations.environment import look
    from k3s_rootless.service.drop_ins import environment as environment_drop_in
    from k3s_rootless.service.facts import DesiredDropIn
    from k3s_rootless.service.observe import files

    own = files.read(seen.own_path)
    have = environment_drop_in.read(own.text)
    text = environment_drop_in.render(
        {name: value for name, value in {**have, **wanted}.items() if name not in gone}
    )

    def differs(state: UnitState) -> str | None:
        after = look.assigned_by(state)
        for name in wanted:
            value, path = after.get(name, (None, None))
            if value != wanted[name]:
                return (
                    f"{name} is set by {path} as well, which comes later"
                    if path
                    else f"it has no such {name}"
                )
        kept = [name for name in gone if name in after and after[name][1] in {None, own.path}]
        return f"it still has {', '.join(kept)}" if kept else None

    desired = DesiredDropIn(own.path, text, environment_drop_in.MODE)
    cause = f"{', '.join(wanted or gone)} {'set' if wanted else 'unset'}"
    return change_drop_in.perform(session, manager, [(own, desired)], cause, differs, force=force)


def _for_now(
    session: Session,
    manager: UserManager,
    seen: Seen,
    wanted: Mapping[str, str],
    gone: tuple[str, ...],
    *,
    force: bool,
) -> tuple[UnitState, bool]:
    del session, force
    before = manager.environment
    if all(before.get(name) == value for name, value in wanted.items()) and not any(
        name in before for name in gone
    ):
        return seen.state, False
    touched = {name: before[name] for name in wanted if name in before}
    manager.change_environment(gone, wanted)
    after = manager.environment
    if wrong := [name for name, value in wanted.items() if after.get(name) != value]:
        manager.change_environment([name for name in wanted if name not in before], touched)
        raise RootlessError(
            f"the user manager did not take {', '.join(wrong)}",
            hint="systemctl --user show-environment",
        )
    return seen.state, True


def _is_set(seen: Seen, name: str, *, runtime: bool) -> bool:
    """Tell whether it was set here, for now or for good, whatever else sets it."""
    from k3s_rootless.service.drop_ins import environment as environment_drop_in
    from k3s_rootless.service.environment.precedence import Origin
    from k3s_rootless.service.observe import files

    if runtime:
        return any(one.origin is Origin.MANAGER for one in seen.resolved(name).layers)
    return name in environment_drop_in.read(files.or_problem(seen.own_path).text)


def _row(
    session: Session, after: Seen, name: str, origin: Origin | None, judged: Judgement | None
) -> dict[str, Any]:
    """Say what became of one variable, and give it as JSON has it; `origin` is where it was set,
    None where it was unset.
    """
    from k3s_rootless.operations.environment import look
    from k3s_rootless.service.environment.precedence import Origin

    resolved = after.resolved(name)
    above = (
        resolved.above(origin, after.own_path.name if origin is Origin.DROP_IN else "")
        if origin
        else resolved.layers
    )
    if origin:
        first = not after.state.installed and not above
        session.report.answer(
            f"{name} is set" + ("; `k3s-rootless up` starts K3s with it" if first else "")
        )
    if above:
        how = (
            "taken away by"
            if above[-1].value is None
            else f"{'shadowed' if origin else 'still set'} by"
        )
        session.report.story(f"warning: {name} is {how} {above[-1].place}")
    return {
        "name": name,
        "value": look.shown(name, resolved.value, reveal=False),
        "origin": resolved.last.origin.value,
        "path": str(resolved.last.path) if resolved.last.path else None,
        "shadowed_by": above[-1].place if above else None,
        "effect": judged.effect.value if judged else None,
        "reason": judged.reason if judged else "",
        "warnings": list(judged.warnings) if judged else [],
    }
