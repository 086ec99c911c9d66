"""The encryption of K3s's Secrets: its stages, and the next step towards new keys.

K3s reports a stage. An annotation of the node has it, and K3s's own files keep it for the next
start (K3s pkg/secretsencrypt and pkg/server/handlers, v1.21.8 to v1.36). The old way to new keys
has three requests: prepare, rotate and reencrypt, with a restart after each of the first two. Later
releases have one request, rotate-keys, which needs no restart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from k3s_rootless.k3s.features import Since
from k3s_rootless.k3s.flags import FLAGS
from k3s_rootless.k3s.version import Version

ROTATE_KEYS = Since.of("v1.30.5+k3s1", "v1.31.1+k3s1")
"""The first releases for which K3s's documentation recommends rotate-keys.

v1.28 had it, v1.29.0 lost it, and v1.29.2 has it again (K3s #9340).
"""
PROVIDERS = ("aescbc", "secretbox")
SECRETBOX = "XSalsa20-POLY1305"
"""The name of the provider `secretbox` in K3s's answers; all other requests refuse its keys."""


class Stage(Enum):
    """The stage of a change of the keys."""

    NONE = ""
    START = "start"
    PREPARE = "prepare"
    ROTATE = "rotate"
    REQUESTED = "reencrypt_request"
    ACTIVE = "reencrypt_active"
    FINISHED = "reencrypt_finished"

    @property
    def works(self) -> bool:
        """True while K3s encrypts the Secrets again."""
        return self in {Stage.REQUESTED, Stage.ACTIVE}

    @property
    def rests(self) -> bool:
        """True if no change of the keys has begun."""
        return self in {Stage.START, Stage.FINISHED}


@dataclass(frozen=True, slots=True)
class Key:
    """The type and the name of one key; the key itself is in none of K3s's answers."""

    kind: str
    name: str

    @classmethod
    def of(cls, text: str) -> Key:
        """Read a key as K3s prints it: before v1.33, the name alone, of AES-CBC."""
        kind, separator, name = text.partition(" ")
        if separator:
            return cls(kind, name)
        return cls("AES-CBC", kind)


@dataclass(frozen=True, slots=True)
class State:
    """What K3s reports about the encryption of Secrets.

    `enabled` is None if K3s has no encryption configuration. `stage` is `Stage.NONE` for an unknown
    stage, and `stage_name` is K3s's own word. `inactive` are keys that can only decrypt. `problem`
    is a difference between the servers, which a single node never has.
    """

    enabled: bool | None
    stage: Stage = Stage.NONE
    stage_name: str = ""
    active: Key | None = None
    inactive: tuple[Key, ...] = ()
    problem: str = ""

    @property
    def has_no_keys(self) -> bool:
        """True if K3s has an encryption configuration without a key."""
        return self.enabled is False and self.active is None and not self.inactive

    @property
    def uses_secretbox(self) -> bool:
        """True if the active key, or the only one, is one of secretbox."""
        first = self.active or next(iter(self.inactive), None)
        return first is not None and first.kind == SECRETBOX


class Step(Enum):
    """The next step towards new keys."""

    PREPARE = "prepare"
    ROTATE = "rotate"
    REENCRYPT = "reencrypt"
    REENCRYPT_AGAIN = "reencrypt --force"
    ROTATE_KEYS = "rotate-keys"
    RESTART = "restart"
    WAIT = "wait"
    STUCK = "stuck"


def provider(text: str, release: Version | None) -> str:
    """Return the name of a provider. Raises ValueError if the release does not have it."""
    if text not in PROVIDERS:
        raise ValueError(f"it must be one of {', '.join(PROVIDERS)}")
    if release is not None and not FLAGS["secrets-encryption-provider"].known_to(release):
        raise ValueError(f"K3s {release} does not have this flag, and uses {PROVIDERS[0]}")
    return text


def read(answer: Mapping[str, Any]) -> State:
    """Return the state in an answer of K3s. Raises ValueError for another answer."""
    enabled = answer.get("enable")
    stage = answer.get("stage", "")
    active, inactive = answer.get("activekey", ""), answer.get("inactivekeys", [])
    problem = answer.get("hasherror", "")
    texts = [stage, active, problem]
    if isinstance(inactive, list):
        texts += inactive
    valid = isinstance(inactive, list) and all(isinstance(one, str) for one in texts)
    if not valid or not isinstance(enabled, bool | None):
        raise ValueError("K3s's answer about the encryption of Secrets has another form")
    known = {one.value: one for one in Stage}
    return State(
        enabled,
        known.get(stage, Stage.NONE),
        stage,
        Key.of(active) if active else None,
        tuple(map(Key.of, inactive)),
        problem,
    )


def next_step(state: State, *, restarted: bool, consistent: bool, has_rotate_keys: bool) -> Step:
    """Return the next step of a change of the keys, whether it begins or was interrupted.

    `restarted` is true if K3s was started after its files of the encryption were written, and
    `consistent` if they fit together: after a restart in the middle of rotate-keys, they do not.
    """
    if state.stage in {Stage.PREPARE, Stage.ROTATE} and not restarted:
        return Step.RESTART
    if not state.stage.rests:
        return _FOLLOWING.get(state.stage, Step.STUCK)
    if not consistent:
        return Step.STUCK if state.uses_secretbox else Step.REENCRYPT_AGAIN
    return Step.ROTATE_KEYS if has_rotate_keys or state.uses_secretbox else Step.PREPARE


_FOLLOWING = {
    Stage.PREPARE: Step.ROTATE,
    Stage.ROTATE: Step.REENCRYPT,
    Stage.REQUESTED: Step.WAIT,
    Stage.ACTIVE: Step.WAIT,
}
