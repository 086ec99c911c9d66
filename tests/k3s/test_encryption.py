"""Tests of the state of the encryption, and of the next step towards new keys."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k3s_rootless.k3s import encryption
from k3s_rootless.k3s.encryption import Key, Stage, State, Step

AES = Key("AES-CBC", "aescbckey")
SECRETBOX = Key(encryption.SECRETBOX, "secretboxkey")


def test_the_state_is_read_from_an_answer_of_k3s() -> None:
    # Printed by `k3s secrets-encrypt status -o json` (K3s pkg/server/handlers, EncryptionState).
    found = encryption.read(
        {
            "stage": "rotate",
            "activekey": "AES-CBC aescbckey-2026-11-27T20:00:00Z",
            "enable": True,
            "hashmatch": True,
            "inactivekeys": ["AES-CBC aescbckey", "XSalsa20-POLY1305 secretboxkey"],
        }
    )

    assert (True, Stage.ROTATE) == (found.enabled, found.stage)
    assert Key("AES-CBC", "aescbckey-2026-11-27T20:00:00Z") == found.active
    assert (AES, SECRETBOX) == found.inactive


def test_a_k3s_without_keys() -> None:
    assert State(None) == encryption.read({"stage": "", "activekey": ""})


def test_an_older_release_names_no_type() -> None:
    assert AES == Key.of("aescbckey")


@pytest.mark.parametrize(
    "answer",
    [
        {"stage": 1},
        {"enable": "yes"},
        {"activekey": {}},
        {"activekey": None},
        {"inactivekeys": "a"},
        {"inactivekeys": [1]},
        {"hasherror": 5},
    ],
)
def test_another_answer_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has another form"):
        encryption.read(answer)


@pytest.mark.parametrize(
    ("stage", "facts", "expected"),
    [
        (Stage.START, {}, Step.ROTATE_KEYS),
        (Stage.FINISHED, {}, Step.ROTATE_KEYS),
        (Stage.FINISHED, {"has_rotate_keys": False}, Step.PREPARE),
        (Stage.START, {"consistent": False}, Step.REENCRYPT_AGAIN),
        (Stage.PREPARE, {"restarted": False}, Step.RESTART),
        (Stage.PREPARE, {}, Step.ROTATE),
        (Stage.ROTATE, {"restarted": False}, Step.RESTART),
        (Stage.ROTATE, {}, Step.REENCRYPT),
        (Stage.REQUESTED, {"restarted": False}, Step.WAIT),
        (Stage.ACTIVE, {"consistent": False}, Step.WAIT),
        (Stage.NONE, {}, Step.STUCK),
    ],
)
def test_the_next_step(stage: Stage, facts: dict[str, bool], expected: Step) -> None:
    known = {"restarted": True, "consistent": True, "has_rotate_keys": True} | facts

    assert expected is encryption.next_step(State(enabled=True, stage=stage, active=AES), **known)


def test_secretbox_has_one_way_to_new_keys() -> None:
    facts = {"restarted": True, "has_rotate_keys": False}
    state = State(enabled=True, stage=Stage.START, active=SECRETBOX)

    assert Step.ROTATE_KEYS is encryption.next_step(state, consistent=True, **facts)
    assert Step.STUCK is encryption.next_step(state, consistent=False, **facts)


_VALUES = st.none() | st.booleans() | st.text() | st.integers() | st.lists(st.text())


@given(
    st.dictionaries(
        st.sampled_from(["stage", "activekey", "enable", "hasherror", "inactivekeys"]), _VALUES
    )
)
def test_any_answer_is_read_or_refused(answer: dict[str, Any]) -> None:
    try:
        found = encryption.read(answer)
    except ValueError:
        return
    for restarted in (True, False):
        assert encryption.next_step(
            found, restarted=restarted, consistent=True, has_rotate_keys=True
        )
