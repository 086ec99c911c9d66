"""Tests of the changes that are pending, by the record of a look."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from k3s_rootless.k3s.version import parse
from k3s_rootless.observation import Known
from k3s_rootless.operations.status import pending
from k3s_rootless.operations.status.model import Seen
from k3s_rootless.service.drop_ins import drop_in, environment
from k3s_rootless.service.unit.pending_changes import Pending
from tests.operations.status.records import (
    LOST,
    NODE,
    NOW,
    READY,
    RELEASE,
    SILENT,
    START,
    STATE,
    part,
    seen,
    stopped,
)

NEW = part(Path("/u/d/20-new.conf"), timedelta(minutes=1))
OURS = part(Path("/u/d") / drop_in.name(environment.SUBJECT), timedelta(minutes=1))
RESTART = "k3s-rootless restart"
WRITTEN = Pending(
    "restart", "the running K3s was started before `/u/d/20-new.conf` was written", RESTART
)
OURS_WRITTEN = Pending(
    "restart", f"the running K3s was started before `{OURS.path}` was written", RESTART
)
VARIABLE = Pending("restart", "A changed after K3s was started", RESTART)
REMOVED = Pending("restart", "the unit or a drop-in changed after K3s was started", RESTART)
RELOAD = Pending(
    "reload", "the unit changed after systemd read it", "systemctl --user daemon-reload"
)
OUTDATED = Pending("restart", "`c` changed after K3s was started", RESTART)
UP = Pending(
    "up",
    f"the unit was written for K3s {RELEASE}, and v1.34.1+k3s1 is installed",
    "k3s-rootless up",
)
RUNS = Pending(
    "restart", f"K3s {RELEASE} runs, and v1.34.1+k3s1 is installed", "k3s-rootless up --restart"
)
NEWER = Known("v1.34.1+k3s1")


@pytest.mark.parametrize(
    ("look", "expected"),
    [
        (READY, []),
        (seen(files=Known((part(), NEW))), [WRITTEN]),
        (seen(files=Known((part(), OURS))), []),
        (seen(files=Known((part(), OURS)), variables=SILENT), [OURS_WRITTEN]),
        (seen(files=SILENT), []),
        (seen(variables=Known(("A",))), [VARIABLE]),
        (seen(settings=replace(READY.settings, outdated=OUTDATED.cause)), [OUTDATED]),
        (seen(installed=NEWER), [RUNS]),
        (seen(installed=NEWER, nodes=SILENT), [UP]),
        (seen(installed=NEWER, nodes=SILENT, version=None), []),
        (seen(installed=SILENT, version=parse("v1.34.1+k3s1")), []),
        (seen(nodes=Known((replace(NODE, version=""),))), []),
        (stopped(installed=NEWER), [UP]),
        (stopped(files=Known((NEW,))), []),
        (seen(state=None, problem=LOST, files=Known((NEW,))), []),
    ],
)
def test_changes_that_are_not_in_effect(look: Seen, expected: list[Pending]) -> None:
    assert expected == list(pending.of(look, None, as_started=False))


def test_the_order_is_that_in_which_they_are_applied() -> None:
    look = seen(state=replace(STATE, needs_reload=True), variables=Known(("A",)), installed=NEWER)

    found = pending.of(look, None, as_started=False)

    runs = Pending("restart", "the running K3s was started before that change", RESTART)
    assert [RELOAD, VARIABLE, runs, RUNS] == list(found)


@pytest.mark.parametrize(
    ("look", "changed", "expected"),
    [
        (READY, None, []),
        (READY, START - timedelta(seconds=5), []),
        (READY, NOW, [REMOVED]),
        (seen(state=replace(STATE, fragment=None)), NOW, []),
        (stopped(), NOW, []),
        (seen(files=Known((NEW,))), NOW, [WRITTEN]),
    ],
)
def test_a_drop_in_that_was_removed(
    look: Seen, changed: datetime | None, expected: list[Pending]
) -> None:
    assert expected == list(pending.of(look, changed, as_started=False))


def test_files_that_are_again_as_k3s_was_started_are_not_pending() -> None:
    look = seen(files=Known((NEW,)), variables=Known(("A",)))

    assert [VARIABLE] == list(pending.of(look, NOW, as_started=True))
    assert [] == list(pending.of(seen(files=Known((NEW,))), NOW, as_started=True))
