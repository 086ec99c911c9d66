"""Rotate a token of K3s: in the datastore, in every place that sets it, and in the running K3s.

Before anything is changed, the old token is kept for earlier backups, and a record of the rotation
is written. The record is removed once the next start of K3s uses the new token. A rotation that is
killed in between is finished by the next `token rotate`; until then, no command starts K3s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless import interruption
from k3s_rootless.cluster import supervisor
from k3s_rootless.errors import PeerError, RootlessError
from k3s_rootless.k3s import token
from k3s_rootless.operations import consent, restart, server_settings
from k3s_rootless.operations.foreground import active
from k3s_rootless.operations.launch import document as launch_document
from k3s_rootless.operations.token import edits, places, plan, record
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from k3s_rootless.operations.consent import Ask
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.launch.started import Started
    from k3s_rootless.operations.token.plan import Plan, Request
    from k3s_rootless.service.systemd.user import UserManager

_SECONDS = 60.0
"""K3s encrypts its certificates again, and writes them to the datastore."""
_CONTINUE = "finish it with: k3s-rootless token rotate"


@dataclass(frozen=True, slots=True)
class Rotated:
    """The result of a rotation; `started` is None for a dry run."""

    plan: Plan
    started: Started | None


def preview(context: Context, request: Request) -> Rotated:
    """Return what `rotate` would do now. Raises the errors of `plan.read`."""
    with context.manager() as manager:
        return Rotated(plan.read(context, manager, request), None)


def rotate(context: Context, request: Request, ask: Ask) -> Rotated:
    """Rotate a token, and restart K3s.

    An interrupted rotation is finished with its own new token. Raises the errors of `plan.read`;
    UsageError or RootlessError if the restart is not confirmed; NotReady, or RootlessError with the
    cause, if K3s does not get ready.
    """
    active.require_none(context, "rotate the token")
    with context.manager() as manager, context.locked():
        if manager.unit(UNIT).needs_reload:
            # A rotation that was killed has written the unit, and systemd has not read it.
            manager.reload()
        found = plan.read(context, manager, request)
        if not request.yes and not found.resumed:
            _require_consent(ask)
        _report(context, found)
        with interruption.delayed():
            _perform(context, manager, found)
    return Rotated(found, restart.restart(context, request.seconds))


def document(rotated: Rotated) -> dict[str, Any]:
    """Return the JSON form of a rotation."""
    found, started = rotated.plan, rotated.started
    content: dict[str, Any] = {
        "dry_run": started is None,
        "kind": found.kind,
        "resumed": found.resumed,
        "sends": found.sends,
        "files": [str(edit.path) for edit in found.edits],
        "others": [str(place) for place in found.others],
        "restarts": True,
        "ready": None,
        "errors": [],
    }
    if started is not None:
        content["ready"] = launch_document.of_restart(started)["ready"]
    return content


def _report(context: Context, found: Plan) -> None:
    if found.resumed:
        context.notice("finishing the rotation that was interrupted, with its own new token")
    for place in found.others:
        context.notice(f"warning: {place} sets another token, which has no effect")


def _perform(context: Context, manager: UserManager, found: Plan) -> None:
    paths = context.paths
    record.keep(paths.earlier_tokens, found.kind, _kept(found))
    if found.flag == places.SERVER:
        record.begin(paths.token_rotation, found.rotation)
    if found.sends:
        context.notice("requesting K3s to encrypt its datastore with the new token")
        _send(context, found)
    for edit in found.edits:
        context.notice(f"setting the new token in {edit.path}")
        edits.perform((edit,))
    if found.edits or found.resumed:
        manager.reload()
    _require_effect(context, manager, found)
    record.end(paths.token_rotation)


def _kept(found: Plan) -> str:
    """Return the old token, as K3s wrote it if its file still has it."""
    if token.password(found.text) == found.rotation.old:
        return found.text
    return found.rotation.old


def _send(context: Context, found: Plan) -> None:
    rotation = found.rotation
    try:
        peer = supervisor.peer(found.data, found.port, rotation.old, uid=context.uid)
        supervisor.rotate_token(peer, rotation.new, timeout=_SECONDS)
    except RootlessError as error:
        if _changed_nothing(found, error):
            record.end(context.paths.token_rotation)
            raise RootlessError(
                f"cannot rotate the token: {error.message}", hint=error.hint
            ) from error
        raise RootlessError(
            f"cannot confirm that K3s uses the new token: {error.message}", hint=_CONTINUE
        ) from error


def _changed_nothing(found: Plan, error: RootlessError) -> bool:
    """Return whether a failed request cannot have changed the datastore."""
    if not isinstance(error, PeerError):
        return True  # it was not sent
    refused = error.status is not None
    return refused and plan.holds(found.data, found.rotation) == found.rotation.old


def _require_effect(context: Context, manager: UserManager, found: Plan) -> None:
    """Raise RootlessError if the next start of K3s would not use the new token."""
    later = server_settings.of_next_start(context, manager.unit(UNIT), manager.environment)
    used = places.in_effect(later, found.flag)
    if used and token.password(used) != found.rotation.new:
        where = later.value(found.flag).origin
        raise RootlessError(
            f"the next start of K3s would still use the old token, set in {where}",
            hint=f"remove it there, then {_CONTINUE}",
        )


def _require_consent(ask: Ask) -> None:
    consent.require(
        ask,
        "Rotate the token, and restart K3s, which stops all pods?",
        unanswered="cannot ask for confirmation of the restart: there is no terminal",
        hint="to rotate the token without a question, add --yes",
        refused="nothing was changed",
    )
