"""Decide how a token is rotated: what is sent to K3s, and which files are changed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup import database
from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.k3s import bootstrap_key, layout, token
from k3s_rootless.node import subcommands
from k3s_rootless.operations import installation, server_settings
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.token import edits, files, places, record
from k3s_rootless.operations.token.record import Rotation
from k3s_rootless.paths import UNIT
from k3s_rootless.service.observe import files as unit_files

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.token.edits import Edit
    from k3s_rootless.operations.token.places import Place
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager

_ROTATE = ("token", "rotate")
_AGAIN = "k3s-rootless token rotate"


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `token rotate`.

    `agent` rotates the token for agents. `new` is the new token, empty for a random one. `yes` is
    the consent of the user. `seconds` limits the wait until K3s is ready; None does not wait.
    """

    seconds: float | None
    agent: bool = False
    new: str = field(default="", repr=False)
    yes: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What a rotation does.

    `sends` is true if K3s is requested to use the new token, `resumed` if an interrupted rotation
    is finished. `places` set the token, and `edits` are the new contents of their files. `others`
    set another token, which has no effect. `text` is the token as K3s wrote it.
    """

    flag: str
    data: Path
    port: int
    rotation: Rotation
    sends: bool
    resumed: bool
    edits: tuple[Edit, ...]
    others: tuple[Place, ...]
    text: str = field(default="", repr=False)

    @property
    def kind(self) -> str:
        """The kind of the token, as in `record.Earlier`."""
        return "agent" if self.flag == places.AGENT else "server"


def read(context: Context, manager: UserManager, request: Request) -> Plan:
    """Return what `token rotate` would do now.

    Raises UsageError, NotRunning, RootlessError; nothing is changed then.
    """
    if request.new and (problem := token.refusal(request.new)):
        raise UsageError(f"cannot use this token: {problem}", hint="leave it out for a random one")
    unfinished.require_no_transaction(context)
    state = manager.unit(UNIT)
    if not state.installed:
        raise installation.absence(state)
    if request.agent:
        return _of_agents(context, manager, request, state)
    return _of_server(context, manager, request, state)


def holds(data: Path, rotation: Rotation) -> str | None:
    """Return which password encrypts the datastore; None if that is unknown.

    Only K3s itself can read etcd. Raises RootlessError if the datastore has another token.
    """
    file = data / layout.SQLITE
    if not file.exists():
        return None
    found = database.existing(file, bootstrap_key.PREFIX)
    if not found:
        return None
    for password in (rotation.new, rotation.old):
        if bootstrap_key.of(password) in found:
            return password
    raise RootlessError(
        "cannot rotate the token: the datastore is encrypted with another token than K3s's files"
        " contain",
        hint="see what is wrong with: k3s-rootless check",
    )


def _of_server(context: Context, manager: UserManager, request: Request, state: UnitState) -> Plan:
    now = server_settings.of(context, state, manager.environment)
    text = files.server(now.data, context.uid)
    begun = _begun(context, now.data, text, running=state.running)
    if begun is None:
        subcommands.require(
            subcommands.find(_ROTATE), _ROTATE, unit_files.release_of(state.fragment)
        )
        _require_running(state)
        old = files.password(text, now.data / layout.SERVER_TOKEN)
        begun = Rotation(old, request.new or secrets.token_hex(16))
        _require_new(begun, holds(now.data, begun))
    found, others = _places(context, manager, state, places.SERVER, begun)
    return Plan(
        flag=places.SERVER,
        data=now.data,
        port=now.https_port,
        rotation=begun,
        sends=_stored(now.data, begun, text) == begun.old,
        resumed=context.paths.token_rotation.exists(),
        edits=edits.plan(found, begun.old, begun.new, context.uid),
        others=others,
        text=text,
    )


def _begun(context: Context, data: Path, text: str, *, running: bool) -> Rotation | None:
    """Return the rotation that was interrupted; forget one that cannot have changed anything."""
    found = record.load(context.paths.token_rotation)
    if found is None or running or _stored(data, found, text) != found.old:
        return found
    context.notice("a rotation of the token was interrupted before K3s had changed anything")
    record.end(context.paths.token_rotation)
    return None


def _stored(data: Path, rotation: Rotation, text: str) -> str:
    """Return the password of the datastore; for etcd, of the file that K3s writes before it."""
    return holds(data, rotation) or token.password(text) or rotation.old


def _require_new(rotation: Rotation, stored: str | None) -> None:
    if rotation.new in {rotation.old, stored}:
        raise UsageError(
            "cannot use this token: it is the present one", hint="leave it out for a random one"
        )


def _require_running(state: UnitState) -> None:
    if not state.running:
        raise NotRunning(
            "cannot rotate the token: K3s is not running, and changes its datastore itself",
            hint="start it with: k3s-rootless up",
        )


def _of_agents(context: Context, manager: UserManager, request: Request, state: UnitState) -> Plan:
    now = server_settings.of_next_start(context, state, manager.environment)
    old = token.password(places.in_effect(now, places.AGENT))
    if old is None:
        raise UsageError(
            "cannot rotate the token for agents: none is set, so agents use the token of the"
            " server",
            hint=f"rotate the token of the server with: {_AGAIN}",
        )
    begun = Rotation(old, request.new or secrets.token_hex(16))
    found, others = _places(context, manager, state, places.AGENT, begun)
    return Plan(
        flag=places.AGENT,
        data=now.data,
        port=now.https_port,
        rotation=begun,
        sends=False,
        resumed=False,
        edits=edits.plan(found, old, begun.new, context.uid),
        others=others,
        text=old,
    )


def _places(
    context: Context, manager: UserManager, state: UnitState, flag: str, rotation: Rotation
) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
    """Return the places that set the token, and those that set another token without effect.

    Raises RootlessError if the next start would use another token.
    """
    later = server_settings.of_next_start(context, state, manager.environment)
    _require_known(later, flag)
    found = places.find(state, later, manager.environment, flag)
    known = {rotation.old, rotation.new}
    used = places.in_effect(later, flag)
    if used and token.password(used) not in known:
        where = ", ".join(str(one) for one in found if one.text == used)
        raise RootlessError(
            f"cannot rotate the token: the next start of K3s would use another token, set in"
            f" {where}, and fail",
            hint="remove that token; K3s keeps its own one in its data directory",
        )
    others = tuple(one for one in found if token.password(one.text) not in known)
    return found, others


def _require_known(later: Settings, flag: str) -> None:
    doubt = later.doubt(flag)
    if doubt:
        raise RootlessError(
            f"cannot rotate the token: it is unknown where it is set: {doubt}",
            hint="see the settings with: k3s-rootless config list",
        )
