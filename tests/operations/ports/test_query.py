"""Tests of one check of the ports of a K3s on a private bus, with real servers and sockets."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from jsonschema import Draft202012Validator

from k3s_rootless.errors import NotReady, NotRunning, RootlessError, UsageError
from k3s_rootless.finding import Verdict
from k3s_rootless.operations.ports import document, query
from k3s_rootless.operations.ports.answer import Answer
from k3s_rootless.ports.facts import Status
from tests.fakes.session import PROJECT
from tests.operations.ports.k3s import K3s, listening, own_control_group, service

SCHEMA = PROJECT / "docs/reference/schemas/ports-v2.json"


def statuses(answer: Answer) -> dict[str, Status]:
    return {row.target: row.status for row in answer.rows}


def headings(answer: Answer) -> dict[str, str]:
    return {
        heading: sentence
        for one in answer.explanations
        for paragraph in one.paragraphs
        for heading, sentence in paragraph
    }


def test_the_answer_joins_forwards_services_and_sockets(k3s: K3s) -> None:
    with listening() as port, listening("127.0.0.1") as held:
        k3s.forward(port, port)
        k3s.services += [
            service("web", {"name": "http", "port": port}),
            service("held", {"port": held}),
            service("late", {"port": 1}, balanced=False),
            service("inner", {"port": 2}, balanced=False, type="ClusterIP"),
        ]

        answer = query.run(k3s.context)

    assert {
        "Kubernetes API": Status.FORWARDED,
        f"default/web:{port}": Status.FORWARDED,
        f"default/held:{held}": Status.PORT_IN_USE,
        "default/late:1": Status.PENDING,
    } == statuses(answer)
    assert 0 == answer.exit_code
    assert 1 == answer.internal
    assert ["child"] == [name for name, _ in answer.unread]
    assert [f"sockets of K3s's namespace unknown: {reason}" for _, reason in answer.unread] == list(
        answer.notices
    )
    assert 1 == answer.exposed
    assert answer.advice
    assert any(f"'{{ {port} }}'" in command for command in answer.advice.commands)
    assert [] == k3s.events


def test_a_port_in_use_names_the_program_that_uses_it(k3s: K3s) -> None:
    with listening("127.0.0.1") as held:
        k3s.services.append(service("held", {"port": held}))

        (row,) = query.run(k3s.context, ["held"]).rows

    assert row.used_by
    assert (Verdict.FAIL, "127.0.0.1") == (row.verdict, row.used_by.address)
    assert f"(PID {row.used_by.pid}" in row.reason
    assert row.reason.startswith(f"port {held} is in use by {row.used_by.program} (")


@contextmanager
def child_namespace(port: int) -> Iterator[int]:
    """Yield a process of this user in its own network namespace that listens on `port`."""
    listen = (
        f"import socket; s = socket.create_server(('', {port})); print('ready', flush=True);"
        " input()"
    )
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", listen]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            if process.stdout.readline() != "ready\n":
                pytest.skip("this host grants no user namespace")
            yield process.pid
        finally:
            process.kill()


@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare")
def test_a_forward_to_a_socket_of_the_child_namespace_is_listening(k3s: K3s) -> None:
    with listening() as port, child_namespace(port) as k3s.child:
        k3s.forward(port, port)
        k3s.services.append(service("web", {"port": port}))
        k3s.starts(group=own_control_group())

        answer = query.run(k3s.context)

    assert (Status.LISTENING, ()) == (statuses(answer)[f"default/web:{port}"], answer.unread)


def test_a_socket_of_k3ss_own_unit_does_not_block_its_forward(k3s: K3s) -> None:
    with listening() as port:
        k3s.services.append(service("web", {"port": port}))
        k3s.starts(group=own_control_group())

        (row,) = query.run(k3s.context, ["web"]).rows

    assert (Status.PENDING, None) == (row.status, row.used_by)


@pytest.mark.parametrize("text", ["web", "default/web", "web:http", "default/web:{port}", "{port}"])
def test_a_question_selects_the_rows_of_a_service_or_a_port(k3s: K3s, text: str) -> None:
    with listening() as port:
        k3s.forward(port, port)
        k3s.services += [service("web", {"name": "http", "port": port}), service("db", {"port": 9})]

        answer = query.run(k3s.context, [text.format(port=port)])

    assert [f"default/web:{port}"] == list(statuses(answer))
    assert 0 == answer.exit_code
    assert "forwarded" == headings(answer)["status"]
    assert f"http://localhost:{port}" in headings(answer)["from this host"]


def test_a_row_that_two_questions_select_is_in_the_answer_once(k3s: K3s) -> None:
    k3s.services.append(service("web", {"port": 80}))

    answer = query.run(k3s.context, ["80", "web"])

    assert ["default/web:80"] == list(statuses(answer))
    assert 2 == len(answer.explanations)


def test_a_question_about_an_offset_port_has_the_commands_for_the_port_itself(k3s: K3s) -> None:
    k3s.forward(10080, 80)
    k3s.services.append(service("web", {"port": 80}))

    answers = [query.run(k3s.context, [text]) for text in ("80", "10080", "web")]

    advice = [[one.privileged for one in answer.explanations] for answer in answers]
    assert [3, 0, 0] == [len(commands) for (commands,) in advice]
    assert "redirect to :10080" in " ".join(advice[0][0][0].commands)


def test_a_port_without_a_row_is_explained_by_its_owner(k3s: K3s) -> None:
    with listening("127.0.0.1") as port:
        used = query.run(k3s.context, [str(port)])
    free = query.run(k3s.context, [str(port)])

    assert (1, 1) == (used.exit_code, free.exit_code)
    assert headings(used)["on this host"].startswith(f"port {port} is in use by ")
    assert f"no process listens on port {port}" == headings(free)["on this host"]


def test_a_name_that_no_service_has_is_refused_with_the_names_that_exist(k3s: K3s) -> None:
    k3s.services += [service("web", {"port": 80}), service("db", {"port": 90})]

    with pytest.raises(RootlessError) as caught:
        query.run(k3s.context, ["nosuch", "80"])

    assert "cannot look up `nosuch`: no Service and no port has this name" == caught.value.message
    assert caught.value.hint
    assert caught.value.hint.startswith("Services: default/db, default/web; ")


def test_a_name_is_refused_with_the_reason_if_services_are_not_known(k3s: K3s) -> None:
    k3s.api_status = 503

    with pytest.raises(RootlessError, match=r"cannot look up `web`: .*the server is busy"):
        query.run(k3s.context, ["web"])


def test_a_number_that_is_not_a_port_is_refused_before_systemd_is_queried(k3s: K3s) -> None:
    k3s.bus.kill_manager()

    with pytest.raises(UsageError, match="cannot look up port 65536"):
        query.run(k3s.context, ["65536"])


def test_a_k3s_that_does_not_run_is_refused(k3s: K3s) -> None:
    k3s.stops()

    with pytest.raises(NotRunning, match="no port is forwarded"):
        query.run(k3s.context)


def test_without_rootlesskit_and_services_the_exit_code_is_not_ready(k3s: K3s) -> None:
    k3s.api_status = 503
    k3s.socket.unlink()

    answer = query.run(k3s.context)

    assert NotReady.exit_code == answer.exit_code
    assert {"rootlesskit", "services", "child"} == {name for name, _ in answer.unread}
    assert {"Kubernetes API": Status.UNKNOWN} == statuses(answer)


def test_a_start_explains_missing_answers_in_one_row(k3s: K3s) -> None:
    k3s.api_status = 503
    k3s.socket.unlink()
    k3s.starts(seconds_ago=2)

    answer = query.run(k3s.context)
    with pytest.raises(NotReady, match="cannot look up `web`: K3s is starting"):
        query.run(k3s.context, ["web"])

    assert (True, NotReady.exit_code, ()) == (answer.starting, answer.exit_code, answer.notices)
    assert answer.rows[0].reason.startswith("K3s is starting; ")


def test_all_ports_include_those_that_k3s_never_forwards(k3s: K3s) -> None:
    containers = [{"ports": [{"containerPort": 1, "hostPort": 9100}]}]
    metadata = {"name": "exporter", "namespace": "default"}
    k3s.pods.append({"metadata": metadata, "spec": {"containers": containers}})
    k3s.services.append(service("inner", {"port": 8102}, balanced=False, type="ClusterIP"))

    some, all_of_them = query.run(k3s.context), query.run(k3s.context, everything=True)

    assert ["Kubernetes API"] == list(statuses(some))
    assert {"default/exporter:9100 (hostPort)", "default/inner:8102", "Kubernetes API"} == set(
        statuses(all_of_them)
    )
    assert all(row.is_never_forwarded for row in all_of_them.rows if row.target != "Kubernetes API")


def test_a_probe_finds_programs_that_answer_and_forwards_without_one(k3s: K3s) -> None:
    with listening() as port:
        # The kernel accepts for this socket, and no program ever answers: a connection is enough.
        k3s.forward(port, port)
        k3s.services.append(service("db", {"port": port}))
        open_port = query.run(k3s.context, probe=True)
    k3s.services[:] = [service("gone", {"port": port})]
    with listening() as other:
        k3s.forward(other, other)
        closed = query.run(k3s.context, ["gone"], probe=True)

    assert Status.LISTENING is statuses(open_port)[f"default/db:{port}"]
    assert 0 == open_port.exit_code
    assert Status.UNREACHABLE is statuses(closed)[f"default/gone:{port}"]
    assert 1 == closed.exit_code


def test_the_document_follows_the_schema(k3s: K3s) -> None:
    schema = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    with listening() as port:
        k3s.forward(port, port)
        k3s.forward(19_999, 19_999, "127.0.0.1")
        k3s.services += [service("web", {"name": "http", "port": port}), service("db", {"port": 9})]
        answer = query.run(k3s.context, everything=True, probe=True)
        whole = query.document(k3s.context)

    for content in (document.document(answer), whole):
        schema.validate({"schema": "k3s-rootless/ports/v2", **content})
    (web,) = (row for row in whole["ports"] if row["service"] == "web")
    assert f"http://localhost:{port}" == web["url"]
    assert "127.0.0.1" in web["reachable_at"]
    (orphan,) = (row for row in whole["ports"] if row["kind"] == "orphaned")
    assert (None, None, ["127.0.0.1"]) == (orphan["url"], orphan["target"], orphan["reachable_at"])
