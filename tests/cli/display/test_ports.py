"""Tests of the records of `ports` as text: the contents and their order."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from k3s_rootless.cli.display import ports, ports_changes
from k3s_rootless.cli.display.report import Report
from k3s_rootless.finding import Verdict
from k3s_rootless.linux.facts import Address
from k3s_rootless.observation import Known
from k3s_rootless.operations.ports import answer, changes
from k3s_rootless.operations.ports.plan import Plan
from k3s_rootless.operations.ports.watch import Turn
from k3s_rootless.ports.facts import Exposure, Kind, PortMap, Probe, Status
from k3s_rootless.ports.rules import explanation
from k3s_rootless.ports.rules.question import Question

ROW = Exposure(
    "tcp",
    "",
    10080,
    80,
    Kind.SERVICE_PORT,
    Status.LISTENING,
    Verdict.PASS,
    "",
    "default",
    "web",
    "http",
    target="default/web:80",
    offset=10000,
    forwarded=True,
    url="http://localhost:10080",
)
NEVER = replace(
    ROW, status=Status.NOT_FORWARDED, verdict=Verdict.WARN, forwarded=False, reason="by design"
)
HERE = Known((Address("192.0.2.7", "eth0", loopback=False),))
TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
Captured = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ROW, "*:10080"),
        (replace(ROW, parent_ip="192.0.2.7"), "192.0.2.7:10080"),
        (replace(ROW, parent_ip="::1"), "[::1]:10080"),
        (replace(ROW, forwarded=False), "(10080)"),
        (replace(ROW, forwarded=None), "(10080)"),
        (NEVER, "-"),
        (replace(NEVER, verdict=Verdict.FAIL), "(10080)"),
    ],
)
def test_the_port_of_the_host_shows_whether_it_is_forwarded(row: Exposure, expected: str) -> None:
    assert expected == ports.cells(row)[0]


def test_a_url_is_shown_only_if_a_program_is_reachable() -> None:
    closed = replace(ROW, status=Status.UNREACHABLE)

    assert ["http://localhost:10080", ""] == [ports.cells(row)[7] for row in (ROW, closed)]


@pytest.mark.parametrize(
    ("probe", "expected"),
    [
        (None, ""),
        (Probe("connected", answered=True, milliseconds=1.5), "connected 1.5 ms"),
        (Probe("refused", answered=False), "refused"),
    ],
)
def test_a_probe_shows_its_result_and_duration(probe: Probe | None, expected: str) -> None:
    assert expected == ports.cells(replace(ROW, probe=probe))[8]


def test_the_table_is_followed_by_remarks_notes_and_advice(capsys: Captured) -> None:
    found = answer.of_all(PortMap((ROW, NEVER), 0, (("child", "no process"),)), HERE)

    ports.show(Report(), found)

    printed = capsys.readouterr()
    places = [
        printed.out.index(text)
        for text in (
            "HOST      CHILD PORT",
            "*:10080",
            "  default/web:80/tcp: by design\n",
            "K3s adds 10000 to ports",
            "\n\nwarning: forwards marked *",
            "Addresses of this host: 192.0.2.7 (eth0)",
            "  $ sudo nft add table",
            "  undo: sudo nft delete table",
        )
    ]
    assert places == sorted(places)
    assert "sockets of K3s's namespace unknown: no process\n" == printed.err
    assert "PROBE" not in printed.out


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, "1 NodePort Service has no port on this host: K3s forwards LoadBalancer Services only"),
        (2, "2 NodePort Services have no port on this host"),
    ],
)
def test_node_ports_without_a_row_are_mentioned(
    capsys: Captured, count: int, expected: str
) -> None:
    ports.show(Report(), answer.of_all(PortMap((), 0, (), node_ports=count), HERE))

    assert f"\n\n{expected}" in capsys.readouterr().out


def test_without_notes_there_is_one_empty_line_before_the_warning(capsys: Captured) -> None:
    api = replace(ROW, parent_port=6443, child_port=6443, offset=0, url_guess="")

    ports.show(Report(), answer.of_all(PortMap((api,), 0, ()), HERE))

    out = capsys.readouterr().out
    assert "\n\nwarning: forwards marked *" in out
    assert "\n\n\n" not in out


def test_urls_are_those_of_reachable_programs(capsys: Captured) -> None:
    found = answer.of_all(PortMap((ROW, NEVER), 0, ()), HERE)

    ports.show(Report(), found, urls=True)
    ports.show(Report(), replace(found, rows=(), starting=True), urls=True)

    printed = capsys.readouterr()
    assert "http://localhost:10080\n" == printed.out
    assert "K3s is starting; no port is forwarded yet\n" == printed.err


def test_explanations_are_paragraphs_and_the_ways_to_a_privileged_port(capsys: Captured) -> None:
    question = Question.of("80")
    one = explanation.of_rows(question, (ROW,), HERE.value)
    found = answer.of_questions(PortMap((ROW,), 0, ()), HERE, {question: (ROW,)}, (one,))

    ports.show(Report(), found)

    shown = capsys.readouterr().out
    assert shown.startswith("default/web:80 (http), tcp\n  status            listening\n")
    assert "To use port 80 itself:\n\nTo redirect port 80 to 10080" in shown


def test_json_is_one_document(capsys: Captured) -> None:
    ports.show(Report(json_for="ports"), answer.of_all(PortMap((ROW,), 0, ()), HERE))

    assert capsys.readouterr().out.startswith('{\n  "schema": "k3s-rootless/ports/v2",\n')


def test_a_plan_is_a_table_with_the_reasons_below(capsys: Captured) -> None:
    free = replace(ROW, status=Status.FORWARDED, url="http://localhost:10080")

    ports.show_plan(Report(), Plan((free, NEVER), 0, 2, (("services", "down"),)))
    ports.show_plan(Report(), Plan((), 0, 3, ()))

    printed = capsys.readouterr()
    assert "10080       +10000   tcp        default/web:80   http   free" in printed.out
    assert "-                    tcp        default/web:80   http   not forwarded" in printed.out
    assert "\n  default/web:80: by design\n\nK3s adds 10000" in printed.out
    assert "Services unknown: down\nfound no Service with a port in 3 objects\n" == printed.err


def turns() -> tuple[Turn, Turn, Turn]:
    """Return a first turn, one in which the row is unreachable, and one without changes."""
    closed = replace(ROW, status=Status.UNREACHABLE, reason="gone")
    before, now = ((row,) for row in (ROW, closed))
    found = changes.compared(changes.by_key(before), changes.by_key(now))
    first = answer.of_all(PortMap(before, 0, (("child", "no process"),)), HERE)
    second = answer.of_all(PortMap(now, 0, ()), HERE)
    return (
        Turn(TIME, first, (), ((None, ROW),), is_first=True, is_update=True),
        Turn(TIME, second, found, ((changes.What.CHANGED, closed),), is_update=True),
        Turn(TIME, second, (), ((changes.What.CHANGED, closed),)),
    )


def test_lines_are_a_line_for_each_row_and_then_for_each_change(capsys: Captured) -> None:
    with ports_changes.renderer(Report()) as renderer:
        for turn in turns():
            renderer.show(turn)

    printed = capsys.readouterr()
    time = "2026-01-02T03:04:05.000+00:00"
    assert (
        f"{time} = *:10080 tcp -> default/web:80 http (+10000): listening http://localhost:10080\n"
        f"{time} ~ *:10080 tcp -> default/web:80 http (+10000): unreachable: gone\n"
    ) == printed.out
    assert "sockets of K3s's namespace unknown: no process\n" == printed.err


def test_a_change_that_no_line_shows_is_not_printed(capsys: Captured) -> None:
    first, _, _ = turns()
    found = changes.compared(
        changes.by_key((ROW,)), changes.by_key((replace(ROW, listens_on=("::",)),))
    )

    with ports_changes.renderer(Report()) as renderer:
        renderer.show(replace(first, is_first=False, changes=found))

    assert "" == capsys.readouterr().out


def test_documents_are_a_line_for_the_first_turn_and_for_each_with_changes(
    capsys: Captured,
) -> None:
    with ports_changes.renderer(Report(json_for="ports")) as renderer:
        for turn in turns():
            renderer.show(turn)

    lines = capsys.readouterr().out.splitlines()
    assert [False, True] == ['"change": "changed"' in line for line in lines]
