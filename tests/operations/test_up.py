"""Tests of `up`: the host is checked, and the plan made and performed.

A running K3s is restarted only on consent.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from k3s_rootless.backup import replacement
from k3s_rootless.backup.facts import Kind, Phase, Record
from k3s_rootless.errors import PreflightFailed, RootlessError, UsageError
from k3s_rootless.operations import up
from k3s_rootless.operations.context import Context
from k3s_rootless.operations.events import Event
from k3s_rootless.operations.launch import document
from k3s_rootless.operations.launch.events import ChecksFailed, StartAhead, StepBegins, Waiting
from k3s_rootless.operations.launch.started import Started
from k3s_rootless.paths import UNIT
from k3s_rootless.preflight.checks import checklist
from k3s_rootless.service.plan.steps import Restart, Start, WriteUnit
from tests.fakes.release_server import release_server
from tests.fakes.session import Session
from tests.operations import unit

ALL = tuple(sorted({check.id.partition(".")[0] for check in checklist.CHECKS}))
REQUEST = up.Request(ignored=ALL)
NEWER = "v1.33.9+k3s1"


def never(question: str) -> bool | None:
    raise AssertionError(question)


def nobody(question: str) -> bool | None:
    assert question
    return None


def start(context: Context, request: up.Request = REQUEST) -> Started:
    return up.up(context, request, never)


@pytest.fixture
def k3s(home: Path) -> Path:
    return unit.write_k3s(home)


def test_a_plan_changes_nothing(
    context: Context, bus: Session, k3s: Path, events: list[Event]
) -> None:
    assert k3s.exists()
    made = up.plan(context, REQUEST)

    kinds = {type(step) for step in made.steps}
    assert {WriteUnit, Start} <= kinds
    assert made.outage is None
    assert not (bus.units / UNIT).exists()
    assert [] == [event for event in events if isinstance(event, StepBegins | StartAhead)]
    found = document.of_plan(made)
    assert (True, None, len(made.steps)) == (
        found["dry_run"],
        found["restart"],
        len(found["steps"]),
    )


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the server has amd64 only")
def test_a_first_up_downloads_k3s_and_starts_it_from_the_stable_path(
    context: Context, bus: Session, home: Path
) -> None:
    with release_server(home, trustme.CA()) as server:
        for version in (unit.VERSION, NEWER):
            server.publish(version)
        context = replace(context, environ={**context.environ, **server.environ})
        start(context, replace(REQUEST, get=unit.VERSION))
        before = (bus.units / UNIT).read_text()
        plan = up.plan(context, REQUEST)
        started = up.up(context, replace(REQUEST, get=NEWER, restart=True), never)

    command = f'ExecStart="{context.paths.own}/bin/k3s" server'
    assert command in before
    assert WriteUnit not in {type(step) for step in plan.steps}
    after = (bus.units / UNIT).read_text()
    assert command in after
    assert NEWER in after
    assert {WriteUnit, Restart} <= {type(step) for step in started.steps}


def test_a_first_up_writes_enables_and_starts(
    context: Context, bus: Session, k3s: Path, events: list[Event]
) -> None:
    assert k3s.exists()
    started = start(context)

    assert unit.VERSION in (bus.units / UNIT).read_text()
    with context.manager() as manager:
        state = manager.unit(UNIT)
    assert (True, "enabled") == (state.running, state.file_state)
    assert [step.describe() for step in started.steps] == unit.steps(events)
    kinds = [type(event) for event in events]
    assert kinds.index(StartAhead) < kinds.index(StepBegins)
    assert Waiting not in kinds
    found = document.of_up(started)
    assert (True, None, None) == (found["changed"], found["ready"], found["restart_needed"])
    summary = [line for line in unit.notices(events) if line.startswith("host checked: ")]
    assert 1 == len(summary)


def test_each_up_reports_a_proxy_of_the_shell_that_k3s_lacks(
    context: Context, k3s: Path, events: list[Event]
) -> None:
    assert k3s.exists()
    proxy = {"https_proxy": "http://alice:s3cret@proxy.example:3128"}
    shell = replace(context, environ={**context.environ, **proxy})

    for _ in range(2):
        start(shell)

    found = [line for line in unit.notices(events) if "uses a proxy (HTTPS_PROXY)" in line]
    assert 2 == len(found)
    assert "s3cret" not in "".join(unit.notices(events))


def test_without_lingering_the_user_is_warned_before_the_start(
    context: Context, k3s: Path, events: list[Event]
) -> None:
    assert k3s.exists()
    start(context)

    (warned,) = (
        number
        for number, event in enumerate(events)
        if "K3s stops when your last session ends" in getattr(event, "text", "")
    )
    assert warned < next(n for n, event in enumerate(events) if isinstance(event, StepBegins))


def test_no_unit_is_written_on_a_host_that_is_not_ready(
    context: Context, bus: Session, home: Path, events: list[Event]
) -> None:
    unit.write_k3s(home, "tea")
    with pytest.raises(PreflightFailed) as refused:
        start(context, replace(REQUEST, ignored=tuple(set(ALL) - {"k3s"})))

    (failed,) = [event for event in events if isinstance(event, ChecksFailed)]
    assert {"k3s"} == {one.check.partition(".")[0] for one in failed.findings}
    assert "this host is not ready for rootless K3s: k3s" in str(refused.value)
    assert not (bus.units / UNIT).exists()


def test_a_check_that_does_not_exist_cannot_be_ignored(context: Context) -> None:
    with pytest.raises(UsageError) as unknown:
        start(context, up.Request(ignored=("tea",)))

    assert "there is no check `tea`" == str(unknown.value)


@pytest.fixture
def changed(context: Context, bus: Session, k3s: Path) -> Path:
    """Return the unit file of a running K3s, after another k3s was installed."""
    start(context)
    k3s.write_text(k3s.read_text().replace(unit.VERSION, "v1.34.1+k3s1"))
    return bus.units / UNIT


def test_a_restart_of_a_running_k3s_needs_a_confirmation(context: Context, changed: Path) -> None:
    before = changed.read_text()

    with pytest.raises(UsageError) as refused:
        up.up(context, REQUEST, nobody)

    assert "k3s-rootless up --restart" in str(refused.value.hint)
    assert "v1.34.1+k3s1" == refused.value.details["restart"]["to"]
    assert before == changed.read_text()


def test_nothing_changes_if_the_restart_is_not_confirmed(context: Context, changed: Path) -> None:
    before = changed.read_text()
    questions: list[str] = []

    def refuse(question: str) -> bool | None:
        questions.append(question)
        return False

    with pytest.raises(RootlessError) as refused:
        up.up(context, REQUEST, refuse)

    assert "nothing was changed: K3s keeps running" == str(refused.value)
    assert before == changed.read_text()
    (question,) = questions
    assert question.startswith(f"K3s must restart for the upgrade from {unit.VERSION} to v1.34.1")
    assert question.endswith("Restart K3s now?")


def test_an_allowed_restart_needs_no_confirmation(context: Context, changed: Path) -> None:
    made = up.plan(context, REQUEST)
    started = start(context, replace(REQUEST, restart=True))

    assert made.outage is not None
    assert started.by_us
    assert "v1.34.1+k3s1" in changed.read_text()


def test_a_changed_unit_is_reloaded_before_the_checks(
    context: Context, bus: Session, k3s: Path, events: list[Event]
) -> None:
    assert k3s.exists()
    unit.write(bus, context.paths.home)
    with context.manager() as manager:
        manager.start(UNIT)
    unit.write(bus, context.paths.home, "--debug")

    with pytest.raises(RootlessError):
        start(context)  # the unit is not ours

    first = events[0]
    assert isinstance(first, StepBegins)
    assert "the unit or a drop-in changed after systemd read it" == first.cause


def test_no_k3s_is_started_while_a_restore_is_not_finished(
    context: Context, bus: Session, k3s: Path
) -> None:
    assert k3s.exists()
    record = Record(Phase.REPLACING, Path("/a.tar.gz"), ())
    replacement.replace(context.paths.transaction, record)

    for work in (start, lambda context: up.plan(context, REQUEST)):
        with pytest.raises(RootlessError, match=r"restore of `/a.tar.gz` is not finished"):
            work(context)

    record = Record(Phase.PLACED, None, (), kind=Kind.RESET, data=Path("/data"))
    replacement.begin(context.paths.transaction, record)
    for work in (start, lambda context: up.plan(context, REQUEST)):
        with pytest.raises(RootlessError, match="the reset of `/data` is not finished"):
            work(context)

    assert not (bus.units / UNIT).exists()
