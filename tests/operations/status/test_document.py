"""Tests that the JSON of `status` matches its schema, whatever is known."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from k3s_rootless.backup.records import Age
from k3s_rootless.errors import NotRunning
from k3s_rootless.observation import Known
from k3s_rootless.operations.status.document import absence, document, read, without_usage
from k3s_rootless.operations.status.model import Certificate, Snapshot
from k3s_rootless.service.facts import Usage
from k3s_rootless.service.unit.pending_changes import Part, Pending
from tests.operations.status import records
from tests.operations.status.k3s import K3s
from tests.operations.status.records import (
    LOST,
    NOW,
    READY,
    SILENT,
    START,
    STATE,
    failed,
    kubeconfig,
    snapshot_with,
    stopped,
)

SCHEMA = json.loads(
    (Path(__file__).parents[3] / "docs/reference/schemas/status-v1.json").read_text("utf-8")
)
UNKNOWN = snapshot_with(
    state=None,
    problem=LOST,
    version=None,
    files=SILENT,
    installed=SILENT,
    variables=SILENT,
    kit=SILENT,
    kubeconfig=SILENT,
    ready=SILENT,
    nodes=SILENT,
    usage=Usage(),
    lingers=SILENT,
    unfinished=SILENT,
    backups=SILENT,
    milestones=(),
    certificates=(Certificate("server", SILENT),),
)
BARE = replace(STATE, fragment=None, started=None, changed=None, invocation="", main_pid=0)


def valid(content: dict[str, Any]) -> dict[str, Any]:
    whole = json.loads(json.dumps({"schema": "k3s-rootless/status/v1", **content}))
    jsonschema.validate(whole, SCHEMA)
    return content


@pytest.mark.parametrize(
    "snapshot",
    [
        READY,
        UNKNOWN,
        stopped(),
        failed(),
        failed(cause=SILENT, period=SILENT),
        snapshot_with(backups=Known(Age(NOW, "daily", "the scheduled backup failed"))),
        stopped(unfinished=Known(records.UNFINISHED)),
        failed(state=replace(records.FAILED, restarts=4)),
        snapshot_with(state=BARE),
        snapshot_with(kit=SILENT, cause=Known(replace(records.CAUSE, time=None, check=""))),
        snapshot_with(pending=(Pending("restart", "why", "how"),)),
        snapshot_with(files=Known((Part(records.FRAGMENT, None, None, "no"), records.part()))),
    ],
)
def test_each_document_follows_the_schema(snapshot: Snapshot) -> None:
    valid(document(snapshot))


def test_the_document_of_a_ready_k3s() -> None:
    content = document(READY)

    assert (True, True, True, "ready") == tuple(
        content[name] for name in ("installed", "running", "ready", "state")
    )
    assert {"unit": records.RELEASE, "installed": records.RELEASE, "running": records.RELEASE} == (
        content["releases"]
    )
    assert ("host", (START + timedelta(seconds=30)).isoformat()) == (
        content["node"],
        content["node_ready_since"],
    )
    assert {
        "path": "/k",
        "written": START.isoformat(),
        "mode": "0600",
        "of_this_start": True,
    } == content["kubeconfig"]
    assert [{"path": "/u/k3s-rootless.service", "author": "ours", "reason": ""}] == content["drift"]
    assert 30.0 == content["phases"][1]["seconds"]
    assert "missing" not in content
    assert [] == content["errors"] == content["unknown"]


def test_the_document_without_any_known_part() -> None:
    content = document(UNKNOWN)

    nothing = ("installed", "running", "ready", "unit", "release", "node", "forwards", "lingers")
    assert {None} == {content[name] for name in nothing}
    assert "unknown" == content["state"]
    assert [{"message": LOST.message, "hint": LOST.hint, "exit_code": LOST.exit_code}] == content[
        "errors"
    ]
    assert "child namespace and API socket" == content["missing"]["phase"]
    assert {"of": "server", "until": None, "expired": None} == content["certificates"][0]


def test_rootlesskit_shows_that_k3s_runs_without_the_user_manager() -> None:
    assert document(snapshot_with(state=None, problem=LOST))["running"] is True


def test_a_required_restart_has_its_own_key() -> None:
    content = document(
        snapshot_with(pending=(Pending("reload", "a", "x"), Pending("restart", "b", "y")))
    )

    assert "b" == content["restart_needed"]
    assert ["reload", "restart"] == [one["what"] for one in content["pending"]]
    assert document(READY)["restart_needed"] is None


def test_a_kubeconfig_of_an_earlier_start() -> None:
    old = kubeconfig(START - timedelta(days=1))

    assert document(snapshot_with(kubeconfig=old))["kubeconfig"]["of_this_start"] is False
    assert (
        document(snapshot_with(kubeconfig=old, state=BARE))["kubeconfig"]["of_this_start"] is None
    )


@pytest.mark.parametrize(
    ("ahead", "expired"), [(timedelta(0), True), (timedelta(seconds=1), False)]
)
def test_a_certificate_is_expired_from_its_end_of_validity(
    ahead: timedelta, *, expired: bool
) -> None:
    content = document(snapshot_with(certificates=(Certificate("client", Known(NOW + ahead)),)))

    assert expired == content["certificates"][0]["expired"]


def test_changes_of_time_and_usage_alone_are_not_an_event() -> None:
    before = document(READY)
    later = document(snapshot_with(time=NOW + timedelta(seconds=1), usage=Usage(memory=1, cpu=9.0)))
    other = document(snapshot_with(state=replace(STATE, restarts=1)))

    assert without_usage(before) == without_usage(later)
    assert without_usage(before) != without_usage(other)
    assert without_usage(document(UNKNOWN))


def test_the_document_without_a_unit() -> None:
    error = NotRunning("K3s is not installed for this user", hint="up")

    assert {
        "installed": False,
        "errors": [{"message": error.message, "hint": "up", "exit_code": 3}],
    } == valid(absence(error))


def test_the_document_is_read_in_one_call(k3s: K3s) -> None:
    k3s.runs()
    with k3s.rootlesskit(), k3s.api():
        content = valid(read(k3s.context))

    assert ("ready", 5) == (content["state"], content["forwards"])
