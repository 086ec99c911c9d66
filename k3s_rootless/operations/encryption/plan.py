"""Decide what a change of the encryption does, from the state that K3s reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import encryption
from k3s_rootless.k3s.encryption import Step
from k3s_rootless.operations.encryption.record import Change, Goal

if TYPE_CHECKING:
    from k3s_rootless.operations.encryption.reading import Reading

ROTATE = "k3s-rootless encryption rotate-keys"
_ENABLE = "k3s-rootless encryption enable"
SET_FLAG = "set the flag secrets-encryption"
RESTART = "restart K3s, which stops all pods"
REQUESTS = {
    Goal.ENABLE: "request K3s to encrypt new Secrets",
    Goal.DISABLE: "request K3s to write new Secrets without encryption",
}
AGAIN = "write all Secrets again, and wait until K3s has finished"
_KEYS = {
    Step.PREPARE: "add a new key",
    Step.ROTATE: "use the new key for new Secrets",
    Step.REENCRYPT: "encrypt all Secrets with the new key, and remove the old one",
    Step.REENCRYPT_AGAIN: "encrypt all Secrets with the new key, and remove the old one",
    Step.ROTATE_KEYS: "add a new key, encrypt all Secrets with it, and remove the old one",
    Step.RESTART: RESTART,
    Step.WAIT: "wait until K3s has encrypted all Secrets with the new key",
}
_AFTER = {
    Step.PREPARE: (Step.RESTART, Step.ROTATE, Step.RESTART, Step.REENCRYPT),
    Step.ROTATE: (Step.RESTART, Step.REENCRYPT),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command does, in sentences; empty if there is nothing to do.

    `change` is recorded until it is finished. `flag` is true if the flag must be set, `sends` if
    K3s must be requested to change its configuration, `restarts` if K3s must be restarted.
    """

    change: Change
    steps: tuple[str, ...]
    resumed: bool = False
    flag: bool = False
    sends: bool = False
    restarts: bool = False


def make(here: Reading, goal: Goal, begun: Change | None) -> Plan:
    """Return the plan; `begun` is a change that was interrupted.

    Raises RootlessError if the change is not possible in this state.
    """
    if goal is Goal.ROTATE:
        return _new_keys(here)
    resumed = begun is not None and begun.goal is goal
    wanted = goal is Goal.ENABLE
    enabled = here.state.enabled is True
    if not resumed and enabled == wanted and (here.flag or not wanted):
        return Plan(Change(goal, first=False), ())
    _require_rest(here)
    first = here.state.enabled is None
    if begun is not None and resumed:
        first = begun.first
    if wanted and here.state.has_no_keys:
        # `k3s secrets-encrypt enable` was run for a cluster without encryption, which K3s allows
        # since its commit fd48cd623: only new keys are missing, and K3s fails at another request.
        first = enabled = True
    flag = wanted and not here.flag
    sends = here.state.enabled is not None and enabled != wanted
    # K3s writes its first keys at a start, and uses them at once.
    unread = not here.restarted and not first
    restarts = flag or sends or enabled != wanted or unread
    steps = [SET_FLAG] if flag else []
    if sends:
        steps.append(REQUESTS[goal])
    if restarts:
        steps.append(RESTART)
    steps.append(AGAIN)
    return Plan(Change(goal, first), tuple(steps), resumed, flag, sends, restarts)


def next_step(here: Reading) -> Step:
    """Return the next step towards new keys. Raises RootlessError if K3s cannot continue."""
    step = encryption.next_step(
        here.state,
        restarted=here.restarted,
        consistent=here.consistent,
        has_rotate_keys=here.has_rotate_keys,
    )
    if step is not Step.STUCK:
        return step
    reason = f"K3s reports the unknown stage `{here.state.stage_name}`"
    if here.state.uses_secretbox:
        reason = (
            "K3s was restarted while it encrypted Secrets with a new key of secretbox, and cannot"
            " continue with this provider; all Secrets can still be read"
        )
    raise RootlessError(
        f"cannot rotate the keys: {reason}",
        hint="see the keys and the stage with: k3s-rootless encryption status",
    )


def _new_keys(here: Reading) -> Plan:
    if here.state.enabled is not True:
        raise RootlessError(
            "cannot rotate the keys: the encryption of Secrets is not enabled",
            hint=f"enable it with: {_ENABLE}",
        )
    step = next_step(here)
    following = _AFTER.get(step, ())
    if step is Step.RESTART:
        rotated = here.state.stage is encryption.Stage.ROTATE
        following = (Step.REENCRYPT,) if rotated else (Step.ROTATE, *_AFTER[Step.ROTATE])
    steps = (step, *following)
    resumed = step not in {Step.PREPARE, Step.ROTATE_KEYS}
    return Plan(
        Change(Goal.ROTATE, first=False),
        tuple(_KEYS[one] for one in steps),
        resumed,
        restarts=Step.RESTART in steps,
    )


def _require_rest(here: Reading) -> None:
    if here.state.enabled is not None and not here.state.stage.rests:
        raise RootlessError(
            "cannot change the encryption: a rotation of its keys is not finished (stage"
            f" `{here.state.stage_name}`)",
            hint=f"finish it with: {ROTATE}",
        )
