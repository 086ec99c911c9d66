"""List, create and delete bootstrap tokens, with K3s's own sub-commands."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from k3s_rootless.errors import RootlessError, UsageError
from k3s_rootless.k3s import token as tokens
from k3s_rootless.operations.node import k3s_command

if TYPE_CHECKING:
    from collections.abc import Sequence

    from k3s_rootless.operations.context import Context

_SECONDS = 60.0
_LIST_HINT = "list the tokens with: k3s-rootless token list"


@dataclass(frozen=True, slots=True)
class BootstrapToken:
    """One bootstrap token. `identifier` is its public part, `text` the whole token, a secret.

    `expires` is a time as in Kubernetes's API, empty for never.
    """

    identifier: str
    text: str = field(repr=False)
    description: str = ""
    expires: str = ""
    usages: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def read(context: Context) -> tuple[BootstrapToken, ...]:
    """Return the bootstrap tokens. Raises NotRunning, RootlessError."""
    words = ("token", "list", "--output", "json")
    printed = k3s_command.output(context, words, "list the tokens", timeout=_SECONDS)
    try:
        listed = json.loads(printed)
        return tuple(_token(one) for one in listed or () if one is not None)
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise RootlessError(
            "cannot list the tokens: K3s printed no list of tokens",
            hint="see its answer with: k3s-rootless k3s token list",
        ) from None


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


def _token(value: Any) -> BootstrapToken:  # noqa: ANN401 (untyped JSON)
    text = str(value["token"])
    return BootstrapToken(
        identifier=text.partition(".")[0],
        text=text,
        description=str(value.get("description") or ""),
        expires=str(value.get("expires") or ""),
        usages=tuple(map(str, value.get("usages") or ())),
        groups=tuple(map(str, value.get("groups") or ())),
    )
