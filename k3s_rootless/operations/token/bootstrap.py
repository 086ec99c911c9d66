"""List bootstrap tokens; create and delete them with K3s's own sub-commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.cluster import bootstrap_tokens
from k3s_rootless.cluster.bootstrap_tokens import BootstrapToken
from k3s_rootless.errors import PeerError, RootlessError, UsageError
from k3s_rootless.k3s import token as tokens
from k3s_rootless.operations.node import k3s_command, surroundings
from k3s_rootless.operations.readiness.start import Start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.operations.context import Context

_SECONDS = 60.0
_LIST_HINT = "list the tokens with: k3s-rootless token list"


def read(context: Context) -> tuple[BootstrapToken, ...]:
    """Return the bootstrap tokens. Raises NotRunning, NotReady, RootlessError."""
    state, found = surroundings.read(context)
    try:
        return bootstrap_tokens.read(Start.of(context, state, found.release).find_api())
    except PeerError as error:
        error.message = f"cannot list the tokens: {error.message}"
        raise


def create(context: Context, *, ttl: str = "", description: str = "") -> BootstrapToken:
    """Create a bootstrap token; `ttl` is its time to live, empty for K3s's default.

    Raises UsageError, NotRunning, RootlessError.
    """
    words = ["token", "create"]
    if ttl:
        words.append(f"--ttl={ttl}")
    if description:
        words.append(f"--description={description}")
    printed = k3s_command.output(context, words, "create a token", timeout=_SECONDS)
    text = next(reversed(printed.split()), "")
    identifier = text.rpartition("::")[2].partition(".")[0]
    if not tokens.BOOTSTRAP_ID.fullmatch(identifier):
        raise RootlessError("cannot create a token: K3s printed no token", hint=_LIST_HINT)
    return BootstrapToken(identifier, text, description)


def delete(context: Context, identifiers: Sequence[str]) -> None:
    """Delete bootstrap tokens by their identifiers. Raises UsageError, NotRunning, RootlessError.

    A whole token is refused, because other users can read a command line.
    """
    for one in identifiers:
        if not tokens.BOOTSTRAP_ID.fullmatch(one):
            raise UsageError(
                "cannot delete a token: an identifier has 6 lower-case letters and digits, and is"
                " the part of the token before its dot",
                hint=_LIST_HINT,
            )
    words = ("token", "delete", *identifiers)
    k3s_command.output(context, words, f"delete {' '.join(identifiers)}", timeout=_SECONDS)
