"""Tests of the state of the encryption of Secrets as text, and of its changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from k3s_rootless.cli.display import encryption
from k3s_rootless.cli.display.report import Report
from k3s_rootless.k3s.encryption import read as encryption_state
from k3s_rootless.operations.encryption.change import Changed
from k3s_rootless.operations.encryption.plan import AGAIN, RESTART, SET_FLAG, Plan
from k3s_rootless.operations.encryption.record import Change, Goal
from k3s_rootless.operations.encryption.status import Shown
from tests.cli.display import documents

ENABLED = encryption_state(
    {
        "enable": True,
        "stage": "reencrypt_finished",
        "activekey": "AES-CBC aescbckey-2026-11-27T12:00:00Z",
        "inactivekeys": ["aescbckey"],
    }
)
DISABLED = encryption_state({"enable": False, "stage": "start"})
DIFFERING = encryption_state({"enable": True, "stage": "start", "hasherror": "hash differs"})
NO_KEYS = Shown(encryption_state({}), flag=False, finish="")
PLAN = Plan(Change(Goal.ENABLE, first=True), (SET_FLAG, RESTART, AGAIN), flag=True, restarts=True)
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (NO_KEYS, ["Secrets are not encrypted: K3s has no keys"]),
        (
            replace(NO_KEYS, flag=True),
            [
                "Secrets are not encrypted: K3s has no keys",
                "the next start of K3s encrypts new Secrets",
            ],
        ),
        (
            Shown(ENABLED, flag=True, finish=""),
            [
                "Secrets are encrypted",
                "stage       reencrypt_finished",
                "active key  AES-CBC aescbckey-2026-11-27T12:00:00Z",
                "other key   AES-CBC aescbckey",
            ],
        ),
        (
            Shown(DISABLED, flag=False, finish="k3s-rootless encryption disable"),
            [
                "Secrets are not encrypted",
                "stage       start",
                ("a change is not finished; continue it with: k3s-rootless encryption disable"),
            ],
        ),
        (
            Shown(DIFFERING, flag=True, finish=""),
            [
                "Secrets are encrypted",
                "stage       start",
                "problem     hash differs",
            ],
        ),
    ],
    ids=["no keys", "no keys yet", "enabled", "disabled", "problem"],
)
def test_the_state_has_its_stage_and_its_keys(
    capsys: Captured, shown: Shown, expected: list[str]
) -> None:
    encryption.show(Report(), shown)

    assert expected == capsys.readouterr().out.splitlines()


def test_a_dry_run_lists_the_steps(capsys: Captured) -> None:
    encryption.show_changed(Report(), Changed(PLAN, None))

    assert [
        "1. set the flag secrets-encryption",
        "2. restart K3s, which stops all pods",
        "3. write all Secrets again, and wait until K3s has finished",
    ] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("goal", "expected"),
    [
        (Goal.ENABLE, "Secrets are encrypted"),
        (Goal.DISABLE, "Secrets are not encrypted"),
        (Goal.ROTATE, "all Secrets are encrypted with the new key"),
    ],
)
def test_a_change_shows_its_result_or_that_it_is_there(
    capsys: Captured, goal: Goal, expected: str
) -> None:
    change = Change(goal, first=False)

    encryption.show_changed(Report(), Changed(Plan(change, (AGAIN,)), ENABLED))
    encryption.show_changed(Report(), Changed(Plan(change, ()), ENABLED))
    encryption.show_changed(Report(), Changed(Plan(change, ()), None))

    nothing = f"nothing to do: {expected}"
    assert [expected, nothing, nothing] == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("name", "show", "result"),
    [
        ("encryption-status", encryption.show, Shown(ENABLED, flag=True, finish="")),
        ("encryption-enable", encryption.show_changed, Changed(PLAN, None)),
        ("encryption-enable", encryption.show_changed, Changed(PLAN, ENABLED, 30.0)),
    ],
)
def test_json_is_one_document(
    capsys: Captured, name: str, show: Callable[[Report, Any], None], result: object
) -> None:
    show(Report(json_for=name), result)

    documents.require_one(capsys.readouterr().out, name)
