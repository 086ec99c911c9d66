"""Tests of the answer for a map of ports, without any source."""

from __future__ import annotations

from dataclasses import replace

import pytest

from k3s_rootless.errors import NotReady, RootlessError
from k3s_rootless.finding import Verdict
from k3s_rootless.linux.facts import Address
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.operations.ports import answer
from k3s_rootless.ports.facts import Exposure, Kind, PortMap, Probe, Status
from k3s_rootless.ports.rules.question import Question

ROW = Exposure(
    "tcp",
    "",
    10080,
    80,
    Kind.SERVICE_PORT,
    Status.FORWARDED,
    Verdict.PASS,
    "",
    "default",
    "web",
    target="default/web:80",
    offset=10000,
    forwarded=True,
    url="http://localhost:10080",
    url_guess="from the port number, 80",
)
HERE = Known(
    (Address("192.0.2.7", "eth0", loopback=False), Address("127.0.0.1", "lo", loopback=True))
)
MAP = PortMap((ROW,), 0, ())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (MAP, 0),
        (replace(MAP, unread=(("services", "timeout"),)), 0),
        (replace(MAP, unread=(("services", "timeout"), ("rootlesskit", "gone"))), 4),
        (replace(MAP, starting=True), 4),
        (replace(MAP, rows=(replace(ROW, probe=Probe("connected", answered=True)),)), 0),
        (replace(MAP, rows=(replace(ROW, probe=Probe("sent")),)), 0),
        (replace(MAP, rows=(replace(ROW, probe=Probe("refused", answered=False)),)), 1),
        (
            replace(
                MAP, rows=(replace(ROW, probe=Probe("refused", answered=False)),), starting=True
            ),
            1,
        ),
    ],
)
def test_the_exit_code_follows_from_probes_and_sources(found: PortMap, expected: int) -> None:
    assert expected == answer.of_all(found, HERE).exit_code


def test_a_question_without_a_row_makes_the_exit_code_one() -> None:
    about = {Question.of("80"): (ROW,), Question.of("9"): ()}

    assert 1 == answer.of_questions(MAP, HERE, about, ()).exit_code
    assert 4 == answer.of_questions(replace(MAP, starting=True), HERE, {}, ()).exit_code


@pytest.mark.parametrize(
    ("found", "kind", "message", "hint"),
    [
        (
            MAP,
            RootlessError,
            "cannot look up `x`, `y`: no Service and no port has this name",
            "Services: default/web",
        ),
        (
            replace(MAP, rows=()),
            RootlessError,
            "cannot look up `x`, `y`: no Service and no port has this name",
            "the cluster has no Services",
        ),
        (
            replace(MAP, unread=(("services", "connection refused"),)),
            RootlessError,
            "cannot look up `x`, `y`: connection refused",
            "use the number of a port",
        ),
        (
            replace(MAP, unread=(("services", "connection refused"),), starting=True),
            NotReady,
            "cannot look up `x`, `y`: K3s is starting",
            "check the progress",
        ),
    ],
)
def test_unknown_names_are_refused_with_reason_and_hint(
    found: PortMap, kind: type[RootlessError], message: str, hint: str
) -> None:
    about = {Question.of("x"): (), Question.of("80"): (ROW,), Question.of("y"): ()}

    with pytest.raises(RootlessError) as caught:
        answer.refuse_unknown(found, about)

    assert kind is type(caught.value)
    assert caught.value.message.startswith(message)
    assert (caught.value.hint or "").startswith(hint)


def test_a_hint_names_at_most_twelve_services() -> None:
    rows = tuple(replace(ROW, service=f"web-{number:02}") for number in range(20))

    with pytest.raises(RootlessError) as caught:
        answer.refuse_unknown(PortMap(rows, 0, ()), {Question.of("x"): ()})

    assert 12 == (caught.value.hint or "").count("default/web-")


def test_a_number_without_a_row_is_not_refused() -> None:
    answer.refuse_unknown(MAP, {Question.of("9"): ()})


def test_the_lines_below_a_table_add_what_its_columns_omit() -> None:
    rows = (
        ROW,
        replace(ROW, conflicts_with=("default/other:80",)),
        replace(ROW, status=Status.PENDING, reason="no address yet"),
        replace(ROW, status=Status.NOT_FORWARDED, verdict=Verdict.WARN, reason="ClusterIP"),
    )

    found = answer.of_all(PortMap(rows, 0, ()), HERE)

    assert (
        "10080/tcp: this port of the host is also needed by default/other:80",
        "10080/tcp: no address yet",
        "default/web:80/tcp: ClusterIP",
    ) == found.remarks
    assert ["K3s adds 10000", "http and https", "`forwarded`: n"] == [
        line[:14] for line in found.notes
    ]
    assert "Addresses of this host: 192.0.2.7 (eth0)" == found.warning[-1]


def test_forwards_on_loopback_have_no_warning() -> None:
    found = answer.of_all(replace(MAP, rows=(replace(ROW, parent_ip="127.0.0.1"),)), HERE)

    assert (0, None, ()) == (found.exposed, found.advice, found.warning)


def test_addresses_that_cannot_be_read_are_one_more_unread_source() -> None:
    found = answer.of_all(MAP, Unknown("no socket"))

    assert (("addresses", "no socket"),) == found.unread
    assert ("addresses of this host unknown: no socket",) == found.notices
    assert 1 == len(found.warning)


def test_while_k3s_starts_no_notice_repeats_the_row_of_its_api() -> None:
    found = answer.of_all(replace(MAP, unread=(("services", "timeout"),), starting=True), HERE)

    assert ((("services", "timeout"),), ()) == (found.unread, found.notices)
