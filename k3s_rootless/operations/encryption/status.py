"""Show the state of the encryption of Secrets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless.operations.encryption import reading, record

if TYPE_CHECKING:
    from k3s_rootless.k3s.encryption import Key, State
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Shown:
    """The state of the encryption.

    `flag` is true if the next start of K3s has the flag for the encryption. `finish` is the command
    that continues an interrupted change; empty if there is none.
    """

    state: State
    flag: bool
    finish: str


def show(context: Context) -> Shown:
    """Return the state of the encryption. Raises NotRunning if K3s does not run, RootlessError."""
    here = reading.read(context)
    begun = record.load(context.paths.encryption_change)
    finish = ""
    if begun is not None:
        finish = f"k3s-rootless encryption {begun.goal.value}"
    elif here.state.enabled and not (here.state.stage.rests and here.consistent):
        finish = "k3s-rootless encryption rotate-keys"
    return Shown(here.state, here.flag, finish)


def document(shown: Shown) -> dict[str, Any]:
    """Return the JSON form of the state."""
    state = shown.state
    return {
        "enabled": state.enabled is True,
        "configured": state.enabled is not None,
        "flag": shown.flag,
        "stage": state.stage_name,
        "active_key": None if state.active is None else _key(state.active),
        "inactive_keys": [_key(one) for one in state.inactive],
        "finish": shown.finish or None,
        "errors": [],
    }


def _key(key: Key) -> dict[str, str]:
    return {"type": key.kind, "name": key.name}
