"""Tests that each JSON document of `check` matches its schema."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from k3s_rootless.finding import Finding, Verdict
from k3s_rootless.operations.check import document
from k3s_rootless.operations.check.checking import Checked
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.preflight.facts import Facts
from tests.operations.check.hosts import context
from tests.preflight.rows import ROWS
from tests.strategies import HEALTHY, any_facts

PROJECT = Path(__file__).parents[3]
SCHEMA: dict[str, Any] = json.loads((PROJECT / "docs/reference/schemas/check-v2.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def answer(found: Sequence[Finding], *ignored: str) -> dict[str, Any]:
    content = document.document(Checked(tuple(found), ignored))
    return {"schema": "k3s-rootless/check/v2", **content}


@pytest.mark.thorough
@pytest.mark.parametrize("row", ROWS, ids=str)
def test_each_document_matches_its_schema(row: Any) -> None:
    VALIDATOR.validate(answer(checklist.judge(row.host), "cgroup"))


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(any_facts())
def test_any_document_matches_its_schema(facts: Facts) -> None:
    VALIDATOR.validate(answer(checklist.judge(facts)))


def test_the_schema_refuses_what_is_wrong() -> None:
    healthy = answer(checklist.judge(HEALTHY))
    for key, value in (
        ("verdict", "maybe"),
        ("severity", "bad"),
        ("documentation", "x"),
        ("check", "One"),
        ("remedy", {}),
    ):
        broken = json.loads(json.dumps(healthy))
        broken["checks"][0][key] = value
        assert not VALIDATOR.is_valid(broken), key
    assert VALIDATOR.is_valid(healthy)


def test_a_failure_is_in_the_errors_unless_it_is_ignored() -> None:
    found = [Finding("net.route", "Routes", Verdict.FAIL, "none", reason="no way out")]

    failed, ignored = answer(found), answer(found, "net")

    assert (False, 5) == (failed["ready"], failed["errors"][0]["exit_code"])
    assert "net.route" in failed["errors"][0]["message"]
    assert (True, [], ["net"]) == (ignored["ready"], ignored["errors"], ignored["ignored"])
    assert failed["checks"] == ignored["checks"]


def test_a_host_is_read_and_judged_by_all_checks(tmp_path: Path) -> None:
    content = document.read(context(tmp_path))

    assert [one.id for one in checklist.CHECKS] == [one["check"] for one in content["checks"]]
    assert content["complete"]
    assert not content["ready"]
    VALIDATOR.validate({"schema": "k3s-rootless/check/v2", **content})
