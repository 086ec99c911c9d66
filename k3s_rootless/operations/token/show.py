"""Show the tokens of the server and of agents: their files, where they are set, earlier ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.operations import installation, server_settings
from k3s_rootless.operations.token import files, places, record
from k3s_rootless.paths import UNIT

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.token.record import Earlier
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Token:
    """One static token of K3s.

    `kind` is `server` or `agent`. `text` is None if K3s has not written the file yet, or if agents
    use the token of the server. `set_in` are the places that set the token.
    """

    kind: str
    path: Path
    text: str | None = field(repr=False)
    set_in: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """The tokens of a K3s, and the tokens that `token rotate` has replaced."""

    tokens: tuple[Token, ...]
    earlier: tuple[Earlier, ...]


def show(context: Context) -> Shown:
    """Return the tokens. Raises NotRunning if K3s is not installed, RootlessError."""
    with context.manager() as manager:
        state = manager.unit(UNIT)
        if not state.installed:
            raise installation.absence(state)
        now = server_settings.of(context, state, manager.environment)
        later = server_settings.of_next_start(context, state, manager.environment)
        rows = (
            _server(context, manager, state, now, later),
            Token(
                "agent",
                now.data / layout.AGENT_TOKEN,
                files.agent(now.data, context.uid),
                _set_in(state, later, manager, places.AGENT),
            ),
        )
    return Shown(rows, record.earlier(context.paths.earlier_tokens))


def _server(
    context: Context, manager: UserManager, state: UnitState, now: Settings, later: Settings
) -> Token:
    path = now.data / layout.SERVER_TOKEN
    text = files.server(now.data, context.uid) if path.exists() else None
    return Token("server", path, text, _set_in(state, later, manager, places.SERVER))


def _set_in(state: UnitState, later: Settings, manager: UserManager, flag: str) -> tuple[str, ...]:
    try:
        found = places.find(state, later, manager.environment, flag)
    except RootlessError as error:
        return (error.message,)
    return tuple(dict.fromkeys(map(str, found)))
