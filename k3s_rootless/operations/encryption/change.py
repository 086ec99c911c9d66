"""Enable or disable the encryption of Secrets, or rotate its keys.

Each step is found from the state that K3s reports, so that a command that was interrupted at any
point, and a change that was begun with K3s's own commands, is continued by the next command.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.k3s.encryption import Stage, Step
from k3s_rootless.operations import consent, events, restart
from k3s_rootless.operations.configuration import change as configuration
from k3s_rootless.operations.encryption import plan as plans
from k3s_rootless.operations.encryption import reading, record, waiting
from k3s_rootless.operations.encryption.record import Goal
from k3s_rootless.operations.encryption.waiting import Progress
from k3s_rootless.operations.foreground import active

if TYPE_CHECKING:
    from k3s_rootless.k3s.encryption import State
    from k3s_rootless.operations.consent import Ask
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.encryption.plan import Plan
    from k3s_rootless.operations.encryption.reading import Reading

_PATIENCE = 60.0
"""Seconds after a start until K3s knows its node, and answers about the encryption."""
_MOST_STEPS = 8
_STAGES: dict[Step, dict[str, Any]] = {
    Step.PREPARE: {"stage": "prepare"},
    Step.ROTATE: {"stage": "rotate"},
    Step.REENCRYPT: {"stage": "reencrypt_active"},
    Step.REENCRYPT_AGAIN: {"stage": "reencrypt_active", "force": True},
    Step.ROTATE_KEYS: {"stage": "rotate_keys"},
}
_WRITE_AGAIN = {"stage": "reencrypt_active", "force": True, "skip": True}
"""Write all Secrets with the present configuration, and keep all keys."""
_LAST = frozenset({Step.REENCRYPT, Step.REENCRYPT_AGAIN, Step.ROTATE_KEYS, Step.WAIT})


@dataclass(frozen=True, slots=True)
class Request:
    """The options of a change.

    `seconds` limits the time without progress, and each wait until K3s is ready. `yes` is the
    consent of the user to restarts.
    """

    goal: Goal
    seconds: float
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Changed:
    """The result of a change; `state` is None for a dry run. `took` is in seconds."""

    plan: Plan
    state: State | None
    took: float = 0.0


def preview(context: Context, request: Request) -> Changed:
    """Return what `change` would do now. Raises NotRunning, RootlessError."""
    return Changed(_plan(context, reading.read(context), request), None)


def change(context: Context, request: Request, ask: Ask) -> Changed:
    """Change the encryption, or continue a change that was interrupted.

    Raises NotRunning, UsageError or RootlessError before anything is changed; NotReady if K3s is
    not ready in time after a restart, or makes no progress; RootlessError if K3s fails.
    """
    active.require_none(context, "change the encryption of Secrets")
    begun = time.monotonic()
    here = reading.read(context)
    found = _plan(context, here, request)
    if not found.steps:
        return Changed(found, here.state)
    if found.restarts and not request.yes:
        _require_consent(ask, request.goal)
    if found.resumed:
        context.notice("continuing the change that was interrupted")
    if request.goal is Goal.ROTATE:
        here = _rotate(context, here, request)
    else:
        here = _switch(context, here, request, found)
    record.end(context.paths.encryption_change)
    return Changed(found, here.state, time.monotonic() - begun)


def document(changed: Changed) -> dict[str, Any]:
    """Return the JSON form of a change."""
    found = changed.plan
    return {
        "dry_run": changed.state is None,
        "changed": changed.state is not None and bool(found.steps),
        "resumed": found.resumed,
        "restarts": found.restarts,
        "steps": list(found.steps),
        "enabled": None if changed.state is None else changed.state.enabled is True,
        "seconds": round(changed.took, 3),
        "errors": [],
    }


def _plan(context: Context, here: Reading, request: Request) -> Plan:
    begun = record.load(context.paths.encryption_change)
    return plans.make(here, request.goal, begun)


def _switch(context: Context, here: Reading, request: Request, found: Plan) -> Reading:
    """Enable or disable the encryption, and write all Secrets again."""
    if found.flag:
        context.notice(plans.SET_FLAG)
        # Its notices are about a flag that is set without `encryption enable`.
        silent = replace(context, listener=events.ignore)
        configuration.change(silent, {reading.FLAG: ("true",)}, force=False)
    record.begin(context.paths.encryption_change, found.change)
    if found.sends:
        _send(context, here, request)
    if found.restarts:
        here = _restarted(context, request)
    _require(here, request.goal)
    return _write_again(context, here, request, found)


def _send(context: Context, here: Reading, request: Request) -> None:
    context.notice(plans.REQUESTS[request.goal])
    change = {"enable": request.goal is Goal.ENABLE}
    action = f"{request.goal.value} the encryption"
    try:
        waiting.request(here, change, action, Progress(context, here.api, request.seconds))
    except NotReady:
        raise
    except RootlessError:
        record.end(context.paths.encryption_change)
        raise


def _write_again(context: Context, here: Reading, request: Request, found: Plan) -> Reading:
    """Write all Secrets again, with new keys where K3s has no other way."""
    if here.state.uses_secretbox and request.goal is Goal.DISABLE:
        context.notice(
            "Secrets stay encrypted until they are changed: K3s cannot write them again with the"
            " provider secretbox, and still has the key to read them"
        )
        return here
    first = found.change.first and here.has_rotate_keys
    if request.goal is Goal.ENABLE and (here.state.uses_secretbox or first):
        # Its last step also saves the keys with K3s's certificates in the datastore.
        return _rotate(context, here, request)
    progress = Progress(context, here.api, request.seconds)
    waiting.request(here, _WRITE_AGAIN, "write the Secrets again", progress)
    waiting.finished(here, progress)
    return reading.read(context)


def _rotate(context: Context, here: Reading, request: Request) -> Reading:
    """Perform the steps towards new keys until K3s has finished."""
    for _ in range(_MOST_STEPS):
        step = plans.next_step(here)
        if step is Step.RESTART:
            here = _restarted(context, request)
            continue
        progress = Progress(context, here.api, request.seconds)
        if step in _STAGES:
            waiting.request(here, _STAGES[step], step.value, progress)
        if step in _LAST:
            waiting.finished(here, progress)
        here = reading.read(context, patience=_PATIENCE)
        if step in _LAST and here.state.stage is Stage.FINISHED:
            return here
    raise RootlessError(
        f"cannot rotate the keys: K3s stays in the stage `{here.state.stage_name}`",
        hint="see K3s's log with: k3s-rootless logs",
    )


def _restarted(context: Context, request: Request) -> Reading:
    context.notice(plans.RESTART)
    restart.restart(context, request.seconds)
    return reading.read(context, patience=_PATIENCE)


def _require(here: Reading, goal: Goal) -> None:
    """Raise RootlessError if K3s was started with another configuration than the expected one."""
    enabled = here.state.enabled is True
    wanted = goal is Goal.ENABLE
    if enabled == wanted or (wanted and here.state.has_no_keys):
        return
    found = "not enabled"
    if enabled:
        found = "enabled"
    raise RootlessError(
        f"K3s was restarted, and its encryption is still {found}",
        hint="see where the flag is set: k3s-rootless config get secrets-encryption",
    )


def _require_consent(ask: Ask, goal: Goal) -> None:
    consent.require(
        ask,
        f"{goal.value.capitalize()}: K3s is restarted, which stops all pods. Continue?",
        unanswered="cannot ask for confirmation of the restart: there is no terminal",
        hint=f"to allow restarts, run: k3s-rootless encryption {goal.value} --yes",
        refused="nothing was changed",
    )
