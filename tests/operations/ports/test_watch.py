"""Tests of repeated checks of the ports of a K3s, while its forwards and Services change."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from k3s_rootless.errors import NotRunning
from k3s_rootless.operations.ports import document, watch
from k3s_rootless.operations.ports.changes import What
from k3s_rootless.operations.ports.watch import Turn
from tests.fakes.session import PROJECT
from tests.operations.ports.k3s import K3s, listening, service
from tests.patience import PATIENCE

SCHEMA = PROJECT / "docs/reference/schemas/ports-v2.json"


def until(turns: Iterator[Turn], true: Callable[[Turn], bool]) -> Turn:
    """Take turns until one matches; other changes are ignored."""
    deadline = time.monotonic() + PATIENCE
    for turn in turns:
        if true(turn):
            return turn
        assert time.monotonic() < deadline, turn
    raise AssertionError


def targets(turn: Turn, what: What) -> list[str]:
    return [change.row.target for change in turn.changes if change.what is what]


def test_the_first_turn_has_all_rows_and_no_changes(k3s: K3s) -> None:
    k3s.services.append(service("web", {"port": 80}))

    with closing(watch.turns(k3s.context)) as turns:
        first = before = next(turns)
        second = next(turns)
        # Other programs of this machine may open a socket, after which all is joined again.
        while second.is_update:
            before, second = second, next(turns)

    assert (True, True, ()) == (first.is_first, first.is_update, first.changes)
    assert ["default/web:80", "Kubernetes API"] == [row.target for row in first.answer.rows]
    assert [None, None] == [what for what, _ in first.table]
    assert (False, False, ()) == (second.is_first, second.is_update, second.changes)
    assert before.answer is second.answer
    assert first.time < second.time


def test_a_service_that_is_added_changed_and_removed_is_a_change_each(k3s: K3s) -> None:
    with closing(watch.turns(k3s.context)) as turns:
        next(turns)
        k3s.change("ADDED", service("late", {"port": 8100}, balanced=False))
        added = until(turns, lambda turn: bool(turn.changes))
        k3s.change("MODIFIED", service("late", {"port": 8100}))
        changed = until(turns, lambda turn: bool(turn.changes))
        k3s.change("DELETED", service("late", {"port": 8100}))
        removed = until(turns, lambda turn: bool(turn.changes))

    assert ["default/late:8100"] == targets(added, What.ADDED)
    assert ["default/late:8100"] == targets(changed, What.CHANGED)
    (change,) = changed.changes
    assert change.before
    assert "pending" == change.before.status.value
    assert ["default/late:8100"] == targets(removed, What.REMOVED)
    assert (What.REMOVED, "default/late:8100") in [
        (what, row.target) for what, row in removed.table
    ]
    assert "default/late:8100" not in [row.target for row in removed.answer.rows]


def test_a_removed_forward_is_a_change_within_two_turns(k3s: K3s) -> None:
    with listening() as port, closing(watch.turns(k3s.context)) as turns:
        k3s.forward(port, port)
        k3s.services.append(service("web", {"port": port}))
        first = next(turns)
        del k3s.forwards[-1]
        two = [next(turns), next(turns)]

    assert [True] == [row.forwarded for row in first.answer.rows if row.service]
    assert [f"default/web:{port}"] == [one for turn in two for one in targets(turn, What.CHANGED)]


def mark(turn: Turn) -> What | None:
    """Return the mark of the Service `late` in the table of a turn."""
    (found,) = [what for what, row in turn.table if "default/late:8100" == row.target]
    return found


def test_a_table_unmarks_a_change_after_a_while(k3s: K3s) -> None:
    with closing(watch.turns(k3s.context)) as turns:
        next(turns)
        k3s.change("ADDED", service("late", {"port": 8100}))
        added = until(turns, lambda turn: bool(turn.changes))
        # The mark of another change, such as a port of another program, may expire before.
        expired = until(turns, lambda turn: turn.is_update and mark(turn) is None)

    assert What.ADDED == mark(added)
    assert not expired.is_first
    assert "default/late:8100" not in targets(expired, What.ADDED)


def test_a_restart_of_k3s_is_followed(k3s: K3s) -> None:
    k3s.services.append(service("web", {"port": 80}))
    with closing(watch.turns(k3s.context)) as turns:
        next(turns)
        k3s.stops()
        stopped = until(turns, lambda turn: bool(turn.changes))
        k3s.services.append(service("second", {"port": 90}))
        k3s.starts(invocation="02" * 16)
        again = until(turns, lambda turn: bool(turn.changes))

    assert (("unit", "K3s is not running"),) == stopped.answer.unread
    assert (0, 2) == (len(stopped.answer.rows), len(targets(stopped, What.REMOVED)))
    assert {"default/web:80", "default/second:90", "Kubernetes API"} == set(
        targets(again, What.ADDED)
    )


def test_sources_that_fail_and_recover_are_updates(k3s: K3s) -> None:
    k3s.api_status = 503
    with closing(watch.turns(k3s.context)) as turns:
        first = next(turns)
        k3s.api_status = 200
        recovered = until(turns, lambda turn: "services" not in dict(turn.answer.unread))
        k3s.socket.rename(k3s.socket.with_name("kept"))
        lost = until(turns, lambda turn: "rootlesskit" in dict(turn.answer.unread))

    assert "the server is busy" in dict(first.answer.unread)["services"]
    assert recovered.is_update
    assert lost.is_update


def test_a_k3s_that_does_not_run_is_refused(k3s: K3s) -> None:
    k3s.stops()

    with (
        closing(watch.turns(k3s.context)) as turns,
        pytest.raises(NotRunning, match="no port is forwarded"),
    ):
        next(turns)


def test_the_document_of_a_turn_has_its_time_and_its_changes(k3s: K3s) -> None:
    schema = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    with closing(watch.turns(k3s.context)) as turns:
        first = next(turns)
        k3s.change("ADDED", service("late", {"port": 8100}))
        added = until(turns, lambda turn: bool(turn.changes))

    documents: list[dict[str, Any]] = [document.of_turn(turn) for turn in (first, added)]
    for content in documents:
        schema.validate({"schema": "k3s-rootless/ports/v2", **content})
    assert [] == documents[0]["changes"]
    (change,) = documents[1]["changes"]
    assert ("added", "default/late:8100") == (change["change"], change["port"]["target"])
    assert documents[0]["time"] < documents[1]["time"]
