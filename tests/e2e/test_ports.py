"""Tests of each status of `ports` with a real rootlesskit, and of --watch, --probe and `plan`."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.e2e import peers
from tests.e2e.conftest import Tool
from tests.e2e.peers import service
from tests.e2e.portmap import blind, rows, until
from tests.lines import reading
from tests.machine import HOME, TOOL, Machine
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
SCHEMAS = Path(__file__).parents[2] / "docs/reference/schemas"


@pytest.fixture(scope="module")
def running(lab: Machine) -> Iterator[Tool]:
    """Yield a K3s release that has all kinds of forwards; it runs for all tests of the module."""
    from tests.lab.fixtures import fresh

    fresh(lab)
    tool = Tool(lab)
    tool.order(version="v1.35.2+k3s1")
    tool.up().check_returncode()
    yield tool
    tool("down")


def test_ports_that_all_sources_confirm_are_listening(running: Tool) -> None:
    found = rows(running)

    for key in ("Kubernetes API/tcp", "kube-system/traefik:80/tcp", "kube-system/traefik:443/tcp"):
        row = found[key]
        assert ("listening", "pass", True, True, True) == (
            row["status"],
            row["verdict"],
            row["forwarded"],
            row["parent_listening"],
            row["child_listening"],
        )
        assert ["::"] == row["listens_on"]
    assert ("http://localhost:10080", 10000) == (
        found["kube-system/traefik:80/tcp"]["url"],
        found["kube-system/traefik:80/tcp"]["offset"],
    )


_BOTH = """
import os
from dataclasses import replace
from pathlib import Path
from k3s_rootless.service.systemd import busctl
from k3s_rootless.service.systemd.user import UserManager
runtime = Path(os.environ["XDG_RUNTIME_DIR"])
for name in ("k3s-rootless.service", "dbus.socket", "none@x-y.service"):
    with UserManager(os.environ, runtime, os.getuid()) as manager:
        expected = manager.unit(name)
    observed = busctl.unit(name, runtime)
    assert observed, expected
    same = replace(observed, memory=None, cpu=None) == replace(expected, memory=None, cpu=None)
    assert same, expected
    print(observed.name, observed.load_state)
"""


def test_busctl_reads_the_same_unit_state_as_the_d_bus_adapter(running: Tool) -> None:
    python = "/opt/k3s-rootless/bin/python"
    done = running.machine.user(python, "-I", "-c", _BOTH)
    loaded = running.machine.user(python, "-I", "-X", "importtime", TOOL, "ports", "--json").stderr

    assert (
        "k3s-rootless.service loaded\ndbus.socket loaded\nnone@x-y.service not-found\n"
        == done.stdout
    ), done.stderr
    assert "http.client" in loaded
    # This shows that busctl answered, and that no D-Bus library was loaded.
    assert not [
        name
        for name in ("asyncio", "dbus_next", "pydantic", "pyroute2", "rich", "yaml")
        if f" {name}\n" in loaded
    ]


def test_the_table_shows_ports_and_warns(running: Tool) -> None:
    shown = running("ports")

    assert 0 == shown.returncode, shown.stderr
    assert "*:10080   80           +10000   tcp        kube-system/traefik:80" in shown.stdout
    assert "listening   http://localhost:10080" in shown.stdout
    assert "the API server and these Services are reachable from the network" in " ".join(
        shown.stdout.split()
    )
    assert "sudo nft add rule inet k3s_rootless input iifname != lo tcp dport" in shown.stdout


def test_on_a_narrow_terminal_urls_are_not_cut(running: Tool) -> None:
    on_terminal = "import pty, sys; sys.exit(pty.spawn(['k3s-rootless', 'ports']) >> 8)"
    typed = running.machine.user(
        "python3", "-c", on_terminal, env={"TERM": "xterm", "COLUMNS": "80", "NO_COLOR": "1"}
    )
    # Bold is not a colour.
    shown = re.sub("\x1b\\[[01]m", "", typed.stdout)
    lines = [line.rstrip() for line in shown.splitlines()]

    assert 0 == typed.returncode
    assert "\x1b" not in shown
    assert "HOST      TARGET                      STATUS      URL" in lines
    assert "*:10080   kube-system/traefik:80      listening   http://localhost:10080" in lines
    assert "          (nodePort)" in lines
    assert "(a wider terminal also shows CHILD PORT, OFFSET, PROTOCOL, NAME)" in lines
    assert all(len(line) <= 80 for line in lines if line.startswith("*:"))


def test_pending_and_what_is_never_forwarded(running: Tool) -> None:
    sctp = {"port": 132, "protocol": "SCTP"}
    peers.create(
        running.machine,
        service("late", 8100, annotations={"k3s-standin/pending": "true"}),
        service("sctp", sctp),
        service("named", 8101, annotations={"k3s-standin/pending": "true"}),
        service("inner", 8102, type="ClusterIP"),
        service("node", {"port": 8103, "nodePort": 31103}, type="NodePort"),
    )
    named = service(
        "named",
        8101,
        annotations={"k3s-standin/pending": "true"},
        ingress=[{"hostname": "lb.example"}],
    )
    peers.request(
        running.machine, ("PUT", "/api/v1/namespaces/default/services/named/status", named)
    )
    try:
        late = until(running, "default/late:8100/tcp", "pending")
        found = rows(running, "--all")
    finally:
        peers.delete(running.machine, "late", "sctp", "named", "inner", "node")

    assert "the load balancer has no address yet" == late["reason"]
    for key, reason in {
        "default/sctp:132/sctp": "only, not SCTP",
        "default/named:8101/tcp": "only a host name",
        "default/inner:8102/tcp": "Service of type ClusterIP is reachable inside the cluster only",
        "default/node:8103/tcp": "this is a NodePort Service",
        "default/node:31103 (nodePort)/tcp": "this is a NodePort Service",
    }.items():
        assert "not-forwarded" == found[key]["status"], found[key]
        assert reason in found[key]["reason"]
        assert found[key]["forwarded"] is False


def test_host_ports_are_not_forwarded_and_pods_of_servicelb_are_left_out(running: Tool) -> None:
    path = "/api/v1/namespaces/default/pods"
    own = peers.pod("svclb-traefik-x", 80, **{"svccontroller.k3s.cattle.io/svcname": "traefik"})
    peers.request(
        running.machine, ("POST", path, peers.pod("node-exporter", 9100)), ("POST", path, own)
    )
    try:
        document = running.json("ports", "--all")
        (queried,) = running.json("ports", "9100")["ports"]
    finally:
        peers.request(
            running.machine,
            *(("DELETE", f"{path}/{one}", None) for one in ("node-exporter", "svclb-traefik-x")),
        )

    (found,) = [row for row in document["ports"] if row["kind"] == "host-port"]
    assert found == queried
    assert {} == blind(document)
    assert ("default/node-exporter:9100 (hostPort)", "not-forwarded", "warn", False) == (
        found["target"],
        found["status"],
        found["verdict"],
        found["forwarded"],
    )
    assert "not hostPorts of Pods" in found["reason"]


def test_without_a_socket_inside_a_port_is_forwarded_and_a_probe_finds_it_unreachable(
    running: Tool,
) -> None:
    peers.create(running.machine, service("deaf", 8600, annotations={"k3s-standin/deaf": "true"}))
    try:
        row = until(running, "default/deaf:8600/tcp", "forwarded")
        probed = rows(running, "--probe")["default/deaf:8600/tcp"]
        shown = running("ports")
    finally:
        peers.delete(running.machine, "deaf")

    assert ("pass", True, True, False) == (
        row["verdict"],
        row["forwarded"],
        row["parent_listening"],
        row["child_listening"],
    )
    assert "tcp://localhost:8600" == row["url"]
    assert "test the connection with --probe" in shown.stdout
    assert ("unreachable", "fail", None) == (probed["status"], probed["verdict"], probed["url"])
    assert "the connection failed" in probed["reason"]
    assert "no program answers in K3s's namespace" in probed["reason"]


def test_a_removed_forward_is_not_forwarded(running: Tool) -> None:
    peers.close_forward(running.machine, 10443)
    try:
        row = rows(running)["kube-system/traefik:443/tcp"]
    finally:
        # K3s creates it again at the next change of any Service.
        peers.create(running.machine, service("nudge", 8601))
        peers.delete(running.machine, "nudge")
        until(running, "kube-system/traefik:443/tcp", "listening")

    assert ("not-forwarded", "fail", False, False) == (
        row["status"],
        row["verdict"],
        row["forwarded"],
        row["parent_listening"],
    )
    assert "port 10443 is free, but K3s has not forwarded it yet" == row["reason"]


def test_a_forward_with_a_closed_socket_is_unreachable(running: Tool) -> None:
    peers.create(running.machine, service("cut", 8602))
    try:
        until(running, "default/cut:8602/tcp", "listening")
        # The kernel closes rootlesskit's socket, and rootlesskit still lists the forward (ss -K,
        # SOCK_DESTROY).
        running.machine.root("ss", "-K", "-tln", "sport", "=", ":8602").check_returncode()
        if ":8602 " in running.machine.root("ss", "-Htln").stdout:
            pytest.skip(
                "this kernel closes no sockets: it is built without CONFIG_INET_DIAG_DESTROY"
            )
        row = rows(running)["default/cut:8602/tcp"]
    finally:
        peers.delete(running.machine, "cut")

    assert ("unreachable", "fail", True, False) == (
        row["status"],
        row["verdict"],
        row["forwarded"],
        row["parent_listening"],
    )
    assert (
        "rootlesskit lists the forward, but no process listens on port 8602 of the host"
        == row["reason"]
    )


def test_a_port_in_use_names_the_program_and_a_stalled_port_the_conflict(running: Tool) -> None:
    # K3s creates forwards in no order, stops at the first failure, and retries soon. With one port
    # in use, all other forwards are created in the end; with many, some wait for a while.
    held = range(8200, 8216)
    services = [service(f"held-{port}", port) for port in held] + [
        service(f"free-{port}", port) for port in range(8300, 8310)
    ]
    stalled: list[dict[str, Any]] = []

    def some_wait() -> bool:
        stalled.extend(row for row in rows(running).values() if row["status"] == "stalled")
        return bool(stalled)

    with (
        peers.using_ports(running.machine, *held),
        peers.using_ports(running.machine, 8199, as_root=True),
    ):
        peers.create(running.machine, *services)
        peers.until(some_wait)
        peers.create(running.machine, service("roots", 8199))
        try:
            mine = until(running, "default/held-8200:8200/tcp", "port-in-use")
            roots = until(running, "default/roots:8199/tcp", "port-in-use")
            explained = running("ports", "held-8200")
        finally:
            peers.delete(running.machine, "roots", *(one["metadata"]["name"] for one in services))

    owner = mine["used_by"]
    assert ("alice", "holder-8200.service", "127.0.0.1") == (
        owner["user"],
        owner["unit"],
        owner["address"],
    )
    assert owner["program"].startswith("python3")
    assert (
        f"port 8200 is in use by {owner['program']} (PID {owner['pid']}, holder-8200.service,"
        " listening on 127.0.0.1), one of your own processes" == mine["reason"]
    )
    assert (0, "root", None) == (
        roots["used_by"]["uid"],
        roots["used_by"]["user"],
        roots["used_by"]["pid"],
    )
    behind = (
        "K3s stopped at port 8200 of the host (default/held-8200:8200), which is in use by python3"
    )
    assert all(row["reason"].startswith(behind) for row in stalled), stalled
    assert "status            port in use: port 8200 is in use by python3" in explained.stdout


def test_a_process_of_the_unit_itself_is_not_a_conflict(running: Tool) -> None:
    """A process of the unit that only listens, as before rootlesskit lists the forward."""
    being_made = "K3s already listens on port 8220, but rootlesskit does not list the forward yet"
    with peers.using_ports(running.machine, 8220):
        show = ("systemctl", "--user", "show", "--value", "-p")
        holder = running.machine.user(*show, "MainPID", "holder-8220").stdout.strip()
        unit = running.machine.user(*show, "ControlGroup", "k3s-rootless").stdout.strip()
        mount = running.machine.root("findmnt", "-nro", "TARGET", "-t", "cgroup2").stdout.split()[0]
        leaf = (
            "/k3s_evac"
            if running.machine.root("test", "-d", f"{mount}{unit}/k3s_evac").returncode == 0
            else ""
        )
        moved = running.machine.root(
            "sh", "-c", f"echo {holder} > {mount}{unit}{leaf}/cgroup.procs"
        )
        assert 0 == moved.returncode, moved.stderr
        peers.create(running.machine, service("busy", 8220))
        try:
            peers.until(lambda: rows(running)["default/busy:8220/tcp"]["reason"] == being_made)
            row = rows(running)["default/busy:8220/tcp"]
        finally:
            peers.delete(running.machine, "busy")
            running.machine.root("kill", holder)

    assert ("pending", None) == (row["status"], row["used_by"])


def test_a_port_conflict_names_both_services(running: Tool) -> None:
    peers.create(running.machine, service("low", 81), service("high", 10081), service("second", 80))
    try:
        second = until(running, "default/second:80/tcp", "port-conflict")
        peers.until(
            lambda: (
                "port-conflict"
                in {
                    rows(running)[f"default/{one}/tcp"]["status"]
                    for one in ("low:81", "high:10081")
                }
            )
        )
        found = rows(running)
    finally:
        peers.delete(running.machine, "low", "high", "second")

    pair = [found["default/low:81/tcp"], found["default/high:10081/tcp"]]
    (lost,) = (row for row in pair if row["status"] == "port-conflict")
    (won,) = (row for row in pair if row["status"] == "listening")
    assert [won["target"]] == lost["conflicts_with"]
    assert [lost["target"]] == won["conflicts_with"]
    assert (
        f"{lost['target']} and {won['target']} need the same port of the host, 10081"
        in lost["reason"]
    )
    assert "port 10080 of the host is also needed by kube-system/traefik:80" in second["reason"]


def test_a_forward_that_no_service_needs_is_orphaned(running: Tool) -> None:
    peers.open_forward(running.machine, "127.0.0.1:9999:9999/tcp")

    row = until(running, "9999/tcp", "orphaned")
    probed = running("ports", "9999", "--probe", "--json")

    assert "127.0.0.1" == row["parent_ip"]
    assert ["127.0.0.1"] == row["reachable_at"]
    assert 1 == probed.returncode
    (orphan,) = json.loads(probed.stdout)["ports"]
    assert (False, True) == (
        orphan["probe"]["answered"],
        "no program answers in K3s's namespace" in orphan["probe"]["result"],
    )
    peers.close_forward(running.machine, 9999)


def test_udp_is_forwarded_and_probed(running: Tool) -> None:
    peers.create(running.machine, service("dns", {"port": 53, "protocol": "UDP"}))
    try:
        row = until(running, "default/dns:53/udp", "listening")
        probed = rows(running, "--probe")["default/dns:53/udp"]
    finally:
        peers.delete(running.machine, "dns")

    assert (10053, 10000, "udp://localhost:10053") == (
        row["parent_port"],
        row["offset"],
        row["url"],
    )
    assert probed["probe"]["result"] in {"answered", "sent; UDP does not confirm delivery"}


def test_a_probe_connects_through_each_forward(running: Tool) -> None:
    peers.create(running.machine, service("plain", {"port": 5432, "name": "postgres"}))
    try:
        until(running, "default/plain:5432/tcp", "listening")
        found = rows(running, "--probe")
    finally:
        peers.delete(running.machine, "plain")

    results = {key: found[key]["probe"]["result"] for key in found if found[key]["forwarded"]}
    assert "HTTP: status 404" == results["kube-system/traefik:80/tcp"]
    assert "HTTP over TLSv1.3: status 404" == results["kube-system/traefik:443/tcp"]
    assert "HTTP over TLSv1.3: status 401" == results["Kubernetes API/tcp"]
    assert "connected" == results["default/plain:5432/tcp"]
    assert all(found[key]["probe"]["milliseconds"] > 0 for key in results)


def test_a_port_of_either_side_is_explained(running: Tool) -> None:
    of_host = running("ports", "10080").stdout
    of_service = running("ports", "80").stdout
    nothing = running("ports", "5432")
    unknown = running("ports", "nosuch")

    for text in (of_host, of_service):
        assert "kube-system/traefik:80 (web), tcp" in text
        assert "http://localhost:10080 (scheme guessed from the port name, web)" in text
        assert "10080 only; port 80 of this host itself is not forwarded" in text
    assert "To use port 80 itself" in of_service
    assert "tcp dport 80 redirect to :10080" in of_service
    assert "K3s still adds 10000" in of_service
    assert "To use port 80 itself" not in of_host
    assert (1, True) == (nothing.returncode, "no Service has this port" in nothing.stdout)
    assert (1, True) == (
        unknown.returncode,
        "cannot look up `nosuch`: no Service and no port has this name" in unknown.stderr,
    )
    assert "http://localhost:10080\n" == running("ports", "kube-system/traefik:80", "--url").stdout


def test_other_sources_are_read_if_the_api_server_does_not_answer(running: Tool) -> None:
    server = peers.server_pid(running.machine)
    running.machine.user("kill", "-STOP", server)
    try:
        shown = running("ports", "--json", timeout=PATIENCE)
    finally:
        running.machine.user("kill", "-CONT", server)

    document = json.loads(shown.stdout)
    assert "services" in blind(document)
    unknown = [row for row in document["ports"] if row["parent_port"] == 10080]
    assert [("unknown", True, True)] == [
        (row["status"], row["forwarded"], row["parent_listening"]) for row in unknown
    ]


MANIFEST = """\
apiVersion: v1
kind: List
items:
- {kind: Service, metadata: {name: a}, spec: {type: LoadBalancer, ports: [{name: http, port: 80}]}}
- {kind: Service, metadata: {name: b}, spec: {type: LoadBalancer, ports: [{port: 10090}]}}
- {kind: Service, metadata: {name: c}, spec: {type: LoadBalancer, ports: [{port: 90}]}}
- {kind: Service, metadata: {name: d}, spec: {type: LoadBalancer, ports: [{port: 8500}]}}
- {kind: Service, metadata: {name: e}, spec: {type: LoadBalancer, ports: [{port: 8501}]}}
- {kind: Service, metadata: {name: f}, spec: {type: LoadBalancer, ports: [{port: 6443}]}}
---
kind: Service
metadata: {name: inner}
spec: {ports: [{port: 8502}]}
---
kind: Pod
metadata: {name: pod}
spec: {containers: [{name: c, ports: [{containerPort: 1, hostPort: 9100}]}]}
"""


def test_a_plan_names_every_conflict_before_anything_is_applied(running: Tool) -> None:
    with peers.using_ports(running.machine, 8500):
        done = running.machine.user("k3s-rootless", "ports", "plan", "-", "--json", stdin=MANIFEST)
        text = running.machine.user("k3s-rootless", "ports", "plan", "-", stdin=MANIFEST)

    found = {
        row["target"]: (row["status"], row["reason"]) for row in json.loads(done.stdout)["ports"]
    }
    assert (1, 1) == (done.returncode, text.returncode)
    assert "port-conflict" == found["default/a:80"][0]
    assert (
        "port 10080 of the host is also needed by kube-system/traefik:80"
        in found["default/a:80"][1]
    )
    assert "also needed by default/c:90" in found["default/b:10090"][1]
    assert "also needed by default/b:10090" in found["default/c:90"][1]
    assert "port-in-use" == found["default/d:8500"][0]
    assert "holder-8500.service, listening on 127.0.0.1)" in found["default/d:8500"][1]
    assert ("free", "") == found["default/e:8501"]
    assert "also needed by Kubernetes API" in found["default/f:6443"][1]
    assert "is reachable inside the cluster only" in found["default/inner:8502"][1]
    assert "not hostPorts of Pods" in found["default/Pod pod:9100 (hostPort)"][1]
    assert "default/d:8500: port 8500 is in use by python3" in text.stdout


def test_documents_follow_the_schemas(running: Tool) -> None:
    peers.open_forward(running.machine, "127.0.0.1:9997:9997/tcp")
    for name, answers in {
        "ports-v2.json": [
            running("ports", "--all", "--probe", "--json").stdout,
            running("ports", "nosuch", "--json").stdout,
        ],
        "ports-plan-v2.json": [
            running.machine.user(
                "k3s-rootless", "ports", "plan", "-", "--json", stdin=MANIFEST
            ).stdout,
            running("ports", "plan", "none.yaml", "--json").stdout,
        ],
    }.items():
        schema = json.loads((SCHEMAS / name).read_text("utf-8"))
        for answer in answers:
            Draft202012Validator(schema).validate(json.loads(answer))
    peers.close_forward(running.machine, 9997)


def test_an_older_release_forwards_less_and_the_reason_is_shown(lab_tool: Tool) -> None:
    lab_tool.order(
        version="v1.28.5+k3s1",
        services=[
            {
                "name": "dns",
                "ports": [{"port": 53, "protocol": "UDP"}, {"port": 8080, "nodePort": 31180}],
            }
        ],
    )
    lab_tool.up().check_returncode()

    until(lab_tool, "default/dns:8080/tcp", "listening")
    found = rows(lab_tool, "--all")

    assert "K3s v1.28.5+k3s1 forwards TCP only" == found["default/dns:53/udp"]["reason"]
    assert (
        "K3s v1.28.5+k3s1 does not forward nodePorts; v1.29.3 and later do"
        == found["default/dns:31180 (nodePort)/tcp"]["reason"]
    )


WATCHED: tuple[tuple[str, Callable[[Machine], None], str], ...] = (
    (
        "a new forward",
        lambda lab: peers.open_forward(lab, "0.0.0.0:9998:9998/tcp"),
        "+ 0.0.0.0:9998 tcp",
    ),
    ("a removed forward", lambda lab: peers.close_forward(lab, 9998), "- 0.0.0.0:9998 tcp"),
    (
        "a new Service",
        lambda lab: peers.create(lab, service("seen", 8400)),
        "default/seen:8400",
    ),
    ("a removed Service", lambda lab: peers.delete(lab, "seen"), "default/seen:8400"),
)


def test_watch_shows_changes_within_a_second_and_ends_cleanly(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    lab = lab_tool.machine
    with lab.popen("k3s-rootless", "ports", "--watch") as process, reading(process) as lines:
        lines.wait_for("31443")
        for _, change, shows in WATCHED:
            change(lab)
            lines.wait_for(shows)
            time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(PATIENCE)
        assert process.stderr
        assert "interrupted" in process.stderr.read()


_TYPED = "import pty, sys; sys.exit(pty.spawn(['k3s-rootless', 'ports', '--watch']) >> 8)"


def test_watch_redraws_one_table_on_a_terminal(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    lab = lab_tool.machine
    begin = ("env", "TERM=xterm", "COLUMNS=140", "LINES=40", "python3", "-c", _TYPED)
    with lab.popen(*begin) as process, reading(process) as lines:
        assert process.stdin
        lines.wait_for("press Ctrl-C to exit")
        assert 1 == sum("HOST" in line for line in lines.seen)
        for what, change, shows in WATCHED[:2]:
            before = len(lines.seen)
            change(lab)
            lines.wait_for(shows)
            lines.wait_for("press Ctrl-C to exit")
            drawn = "".join(lines.seen[before:])
            # The cursor goes back to the top of the table, and each line is erased; the changed row
            # is marked.
            assert drawn.count("\x1b[1A\x1b[2K") >= 8, what
            assert 1 == drawn.count("TARGET"), what
            assert re.search(rf"\x1b\[[0-9;]*m\{shows[0]}.*0\.0\.0\.0:9998", drawn), (what, drawn)
        lines.wait_for("press Ctrl-C to exit")
        assert (
            "0.0.0.0:9998 "
            not in "".join(lines.seen[-20:]).partition("TARGET")[2].partition("\n\n")[0]
        )
        process.stdin.write("\x03")
        process.stdin.flush()
        assert 130 == process.wait(PATIENCE)
        assert "\x1b[?25l" not in "".join(lines.seen).rpartition("\x1b[?25h")[2]


def test_watch_continues_after_a_restart_and_prints_json_lines(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    with (
        lab_tool.machine.popen("k3s-rootless", "ports", "--watch", "--json") as process,
        reading(process) as lines,
    ):
        lines.wait_for('"target": "kube-system/traefik:80"')
        lab_tool.machine.user("systemctl", "--user", "restart", "k3s-rootless").check_returncode()
        lines.wait_for('"status": "unknown"')
        lines.wait_for('"target": "kube-system/traefik:443", "forwarded": true')
        process.send_signal(signal.SIGINT)
        assert 130 == process.wait(PATIENCE)
    documents = [json.loads(line) for line in lines.seen]
    schema = Draft202012Validator(json.loads((SCHEMAS / "ports-v2.json").read_text("utf-8")))
    for document in documents:
        schema.validate(document)
    assert [] == documents[0]["changes"]
    assert all(document["changes"] for document in documents[1:])
    new = [one["port"]["target"] for one in documents[-1]["changes"] if one["change"] != "removed"]
    assert "kube-system/traefik:443" in new


def test_watch_ends_if_the_pipe_is_closed(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    command = "timeout 20 k3s-rootless ports --watch | head -1; echo ended ${PIPESTATUS[0]}"

    done = lab_tool.machine.user("bash", "-c", command)

    assert "ended 124" not in done.stdout
    assert "ended" in done.stdout


def test_a_plan_needs_no_running_k3s(lab_tool: Tool) -> None:
    path = str(HOME / "web.yaml")
    lab_tool.machine.user("tee", path, stdin=MANIFEST).check_returncode()
    with peers.using_ports(lab_tool.machine, 8500):
        done = lab_tool("ports", "plan", path)

    assert 1 == done.returncode
    assert "default/d:8500: port 8500 is in use by python3" in done.stdout
    assert "Services unknown: " in done.stderr
