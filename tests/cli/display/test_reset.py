"""Tests of the plan of a reset as text, and of its result."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.cli.display import reset
from k3s_rootless.cli.display.report import Report
from k3s_rootless.operations.purge import Purged
from k3s_rootless.operations.reset import Done
from k3s_rootless.operations.reset_plan import Plan
from k3s_rootless.service.act.emptying import Content

DATA = Path("/home/alice/.rancher/k3s")
BACKUP = Path("/home/alice/.local/share/k3s-rootless/backups/k3s.tar.gz")
PLAN = Plan(DATA, Content(("server/db", "storage")), backup=True, running=True, volumes=True)
STOPPED = replace(PLAN, running=False, volumes=False)
UNFINISHED = replace(PLAN, backup=False, volumes=False, unfinished=True)
EMPTY = replace(STOPPED, content=Content(()), backup=False)
LINKED = replace(STOPPED, content=Content(("server/db",), (("storage", "it is a link"),)))
NOTHING = f"nothing to do: there is no cluster in {DATA}"
KEPT = f"kept: {DATA}/storage: it is a link; remove its content yourself\n"
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (
            PLAN,
            [
                ("1. create a backup, with its volumes: k3s-rootless backup create --volumes"),
                "2. stop K3s and all pods",
                f"3. remove from {DATA}: server/db, storage",
                "4. start K3s",
            ],
        ),
        (
            STOPPED,
            [
                "1. create a backup, which has no volumes: k3s-rootless backup create",
                f"2. remove from {DATA}: server/db, storage",
            ],
        ),
        (
            UNFINISHED,
            [
                "1. stop K3s and all pods",
                f"2. finish an interrupted reset of {DATA}",
                "3. start K3s",
            ],
        ),
        (EMPTY, [NOTHING]),
        (replace(EMPTY, running=True), [NOTHING]),
    ],
    ids=["running", "stopped", "unfinished", "empty", "empty and running"],
)
def test_a_plan_lists_the_steps(capsys: Captured, plan: Plan, expected: list[str]) -> None:
    reset.show_plan(Report(), plan)

    assert expected == capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (
            Done(PLAN, BACKUP, Purged(DATA, 12)),
            [
                "the cluster is empty; K3s is ready",
                f"the earlier cluster is saved in {BACKUP}, with its volumes",
            ],
        ),
        (
            Done(STOPPED, BACKUP, Purged(DATA, 12)),
            [
                "the cluster is empty; start K3s with: k3s-rootless up",
                f"the earlier cluster is saved in {BACKUP}, which has no volumes",
            ],
        ),
        (Done(UNFINISHED, None, Purged(DATA, 12)), ["the cluster is empty; K3s is ready"]),
        (Done(EMPTY, None, None), [NOTHING]),
    ],
    ids=["running", "stopped", "unfinished", "empty"],
)
def test_a_result_shows_where_the_backup_is(
    capsys: Captured, done: Done, expected: list[str]
) -> None:
    reset.show(Report(), done)

    assert ("\n".join((*expected, "")), "") == capsys.readouterr()


def test_what_stays_is_reported_before_and_after(capsys: Captured) -> None:
    reset.show_plan(Report(), LINKED)
    reset.show(Report(), Done(LINKED, None, Purged(DATA, 3)))

    assert KEPT * 2 == capsys.readouterr().err


def test_files_that_cannot_be_removed_are_an_error(capsys: Captured) -> None:
    directory = DATA / ".reset"
    removal = Purged(directory, 3, (("storage/a", "permission denied"),), more=1)

    reset.show(Report(), Done(PLAN, None, removal))

    assert (
        f"error: cannot remove all of {directory}: 2 left\n"
        "  'storage/a': permission denied\n"
        "  and 1 more\n"
    ) == capsys.readouterr().err


def test_json_is_one_document(capsys: Captured) -> None:
    reset.show_plan(Report(json_for="reset"), PLAN)
    planned = json.loads(capsys.readouterr().out)
    reset.show(Report(json_for="reset"), Done(PLAN, BACKUP, Purged(DATA, 12)))
    done = json.loads(capsys.readouterr().out)

    assert {"k3s-rootless/reset/v1"} == {planned["schema"], done["schema"]}
    assert [(False, None, 0), (True, str(BACKUP), 12)] == [
        (one["changed"], one["backup"], one["removed"]) for one in (planned, done)
    ]
