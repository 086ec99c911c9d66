"""Tests of `ports` with a K3s that was started in another way, or runs only in part.

Each test starts K3s again.
"""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.e2e import peers
from tests.e2e.conftest import UNIT, Tool
from tests.e2e.portmap import blind, rows, until
from tests.lines import reading
from tests.machine import HOME
from tests.patience import PATIENCE

pytestmark = pytest.mark.lab
KUBECONFIG = HOME / ".kube/k3s.yaml"
WEB = {
    "name": "web",
    "ports": [{"port": 8080, "nodePort": 31180}, {"port": 53, "protocol": "UDP", "name": "dns"}],
}


def start_with(tool: Tool, *flags: str) -> None:
    """Start K3s, then restart it with more flags in a drop-in, as users do."""
    tool.up().check_returncode()
    (command,) = [
        line for line in (tool.unit_text() or "").splitlines() if line.startswith("ExecStart=")
    ]
    drop_in = f"{UNIT}.d/flags.conf"
    tool.machine.user("mkdir", "-p", f"{UNIT}.d").check_returncode()
    text = f"[Service]\nExecStart=\n{command} {' '.join(flags)}\n"
    tool.machine.user("tee", drop_in, stdin=text).check_returncode()
    tool.machine.user("systemctl", "--user", "daemon-reload").check_returncode()
    tool.machine.user("systemctl", "--user", "restart", "k3s-rootless").check_returncode()


def test_with_servicelb_disabled_the_api_alone_is_forwarded(lab_tool: Tool) -> None:
    lab_tool.order(version="v1.35.2+k3s1", services=[WEB])
    start_with(lab_tool, "--disable", "servicelb")

    until(lab_tool, "Kubernetes API/tcp", "answering")
    peers.until(lambda: "default/web:8080/tcp" in rows(lab_tool))
    found = rows(lab_tool)
    shown = lab_tool("ports").stdout

    assert [6443] == [row["parent_port"] for row in found.values() if row["forwarded"]]
    for key in (
        "default/web:8080/tcp",
        "default/web:53/udp",
        "kube-system/traefik:80/tcp",
        "kube-system/traefik:443/tcp",
    ):
        row = found[key]
        assert ("not-forwarded", "warn", False) == (
            row["status"],
            row["verdict"],
            row["forwarded"],
        ), row
        assert "servicelb is disabled, and without it K3s forwards its API only" == row["reason"]
        assert f"  {key}: servicelb is disabled" in shown


def test_a_port_that_is_an_administrators_is_blocked_by_the_kernel(lab_tool: Tool) -> None:
    start_with(lab_tool, "--https-listen-port=443")

    row = until(lab_tool, "Kubernetes API/tcp", "blocked")

    assert (443, 443, 0, "fail", None) == (
        row["parent_port"],
        row["child_port"],
        row["offset"],
        row["verdict"],
        row["holder"],
    )
    assert (
        "port 443 is an administrator's; users may listen from 1024 on"
        " (net.ipv4.ip_unprivileged_port_start)" == row["reason"]
    )


def test_with_the_api_server_down_inside_forwards_and_sockets_still_answer(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    until(lab_tool, "kube-system/traefik:80/tcp", "answering")
    # The stand-in closes its API only.
    lab_tool.machine.user("kill", "-USR1", peers.server_pid(lab_tool.machine)).check_returncode()

    row = until(lab_tool, "Kubernetes API/tcp", "silent")
    document = lab_tool.json("ports")
    shown = lab_tool("ports")
    asked = lab_tool("ports", "web")

    assert ("fail", True, True, False) == (
        row["verdict"],
        row["forwarded"],
        row["listening"],
        row["inside"],
    )
    assert (
        "nothing listens at port 6443 of K3s's namespace: the API server is down" in row["reason"]
    )
    assert row["url"] is None
    assert ["services"] == list(blind(document))
    found = {one["parent_port"]: one for one in document["ports"]}
    assert ("unknown", "unknown", True, True, True) == tuple(
        found[10080][key] for key in ("status", "verdict", "forwarded", "listening", "inside")
    )
    assert "nobody could see which Service it is for" in found[10080]["reason"]
    assert "could not ask services: " in shown.stderr
    assert 1 == asked.returncode
    assert "cannot tell what `web` is: " in asked.stderr


def test_without_rootlesskits_socket_services_and_sockets_still_answer(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    until(lab_tool, "kube-system/traefik:80/tcp", "answering")
    lab_tool.machine.user("mv", str(peers.SOCKET), f"{peers.SOCKET}.kept").check_returncode()

    document = lab_tool.json("ports")
    watched = lab_tool.machine.user("timeout", "3", "k3s-rootless", "ports", "--watch")

    assert {"rootlesskit", "child"} == set(blind(document))
    assert "no such file" in blind(document)["rootlesskit"]
    (row,) = [one for one in document["ports"] if one["target"] == "kube-system/traefik:80"]
    assert ("unknown", "unknown", None, True) == tuple(
        row[key] for key in ("status", "verdict", "forwarded", "listening")
    )
    assert "nobody could see whether it is forwarded" in row["reason"]
    assert "could not ask rootlesskit: " in watched.stderr


def test_while_k3s_starts_its_ports_say_so_once(lab_tool: Tool) -> None:
    lab_tool.order(delay=600)
    lab_tool.up("--wait-for", "unit").check_returncode()

    early = lab_tool("ports")
    assert 0 == lab_tool.up("--wait-for", "socket").returncode
    late = lab_tool("ports")
    document = json.loads(lab_tool("ports", "--json").stdout)
    asked = lab_tool("ports", "web")
    urls = lab_tool("ports", "--url")

    for done in (early, late):
        assert 4 == done.returncode, done
        assert 1 == (done.stdout + done.stderr).count("K3s is starting"), done
        assert "could not ask" not in done.stderr
    (row,) = document["ports"]
    assert document["starting"]
    assert ("pending", "warn", False) == (row["status"], row["verdict"], row["forwarded"])
    assert {"services"} <= set(blind(document))
    assert 4 == asked.returncode
    assert "cannot look up `web`: K3s is starting" in asked.stderr
    assert (4, "") == (urls.returncode, urls.stdout)
    assert "K3s is starting" in urls.stderr


EVIL = "ev\x1b[2J\x1b]0;owned\x07\u202eil\r\n\u2028"


def test_no_escape_sequence_of_others_reaches_the_terminal(lab_tool: Tool) -> None:
    ports = [
        {"port": 8700, "name": EVIL, "appProtocol": EVIL},
        {"port": 8701, "protocol": EVIL},
        {"port": 8702, "nodePort": 0},
    ]
    evil = {"name": EVIL, "namespace": "default", "ports": ports}
    hosts = [{"hostname": EVIL, "ip": "127.0.0.1"}]
    lab_tool.order(services=[{**evil, "ingress": hosts}, {"name": "good", "ports": [8800]}])
    lab_tool.up().check_returncode()
    until(lab_tool, "default/good:8800/tcp", "answering")

    for options in ((), ("--all",), ("8700",), ("8700", "--probe"), ("--json", "--all")):
        words = ("ports", *options)
        on_terminal = f"import pty, sys; sys.exit(pty.spawn({['k3s-rootless', *words]!r}) >> 8)"
        piped = lab_tool(*words)
        typed = lab_tool.machine.user(
            "python3", "-c", on_terminal, env={"TERM": "xterm", "COLUMNS": "200"}
        )
        # Colours of the tool itself are allowed; other escape sequences are not.
        for text in (piped.stdout, re.sub("\x1b\\[[0-9;]*m", "", typed.stdout)):
            bad = {
                char
                for char in text.replace("\r\n", "\n")
                if char != "\n" and not char.isprintable()
            }
            assert not bad, (words, bad, text)
            assert "8700" in text
    watched = lab_tool.machine.user("timeout", "2", "k3s-rootless", "ports", "--watch")
    assert "8700" in watched.stdout
    assert all(line.isprintable() for line in watched.stdout.split("\n"))


# Several kinds of invalid peers in place of rootlesskit, without code of the package. Each runs as
# long as clients query it.
_HOSTILE = """
import socketserver, sys, time
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
def flood(send, begin, part, times=100):
    send(begin)
    for _ in range(times):
        send(part)
def drip(send):
    send(HEAD + b"\\r\\n[")
    for _ in range(1200):
        send(b" ")
        time.sleep(0.05)
BEGIN = HEAD + b"Connection: close\\r\\n\\r\\n["
FORWARD = b'{"spec": {"proto": "tcp", "parentPort": 1, "childPort": 1}},'
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(65536)
        send = self.request.sendall
        try:
            {
                "silent": lambda: time.sleep(60),
                "rubbish": lambda: send(
                    b"\\x00\\xff\\x1b[2J220 mail.example ESMTP\\r\\n\\r\\n" * 50
                ),
                "half": lambda: send(
                    HEAD + b"Content-Length: 1000\\r\\n\\r\\n[{\\"id\\": 1, \\"spec\\""
                ),
                "flood": lambda: flood(send, BEGIN, b"0," * 500_000),
                "objects": lambda: flood(send, BEGIN, FORWARD * 16_000),
                "drip": lambda: drip(send),
            }[sys.argv[2]]()
        except OSError:
            pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 32
Server(sys.argv[1], Handler).serve_forever()
"""
_MEASURED = """
import json, resource, subprocess, sys, time
begun = time.monotonic()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
taken = time.monotonic() - begun
mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
found = {"code": done.returncode, "out": done.stdout, "err": done.stderr}
print(json.dumps({**found, "seconds": taken, "mib": mib}))
"""


def test_a_hostile_rootlesskit_costs_a_moment_and_its_own_column(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    until(lab_tool, "kube-system/traefik:80/tcp", "answering")
    machine = lab_tool.machine
    machine.user("mv", str(peers.SOCKET), f"{peers.SOCKET}.kept").check_returncode()
    for how in ("silent", "rubbish", "half", "flood", "objects", "drip"):
        machine.user("rm", "-f", str(peers.SOCKET)).check_returncode()
        with machine.popen("python3", "-c", _HOSTILE, str(peers.SOCKET), how) as hostile:
            peers.until(lambda: machine.user("test", "-S", str(peers.SOCKET)).returncode == 0)
            measured = json.loads(
                machine.user("python3", "-c", _MEASURED, "k3s-rootless", "ports", "--json").stdout
            )
            hostile.kill()

        assert 0 == measured["code"], (how, measured["err"])
        assert all(
            line.startswith("could not ask ") and line.isprintable()
            for line in measured["err"].splitlines()
        ), how
        assert measured["seconds"] < 13, (how, measured["seconds"])
        assert measured["mib"] < 150, (how, measured["mib"])
        document = json.loads(measured["out"])
        why = blind(document)["rootlesskit"]
        assert why.isprintable(), how
        found = {row["target"]: row for row in document["ports"]}
        row = found["kube-system/traefik:80"]
        assert ("unknown", None, True) == (row["status"], row["forwarded"], row["listening"]), how


# An API server in place of the real one: it has a certificate of the cluster's authority, and
# misbehaves.
_API = """
import pathlib, re, socketserver, ssl, sys, time, trustme
tls = pathlib.Path("~/.rancher/k3s/server/tls").expanduser()
pair = ((tls / name).read_bytes() for name in ("server-ca.crt", "server-ca.key"))
authority = trustme.CA.from_pem(*pair)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("127.0.0.1").configure_cert(context)
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n"
class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        if sys.argv[1] == "no TLS":
            return self.request.sendall(b"SSH-2.0-\\x1b[2JOpenSSH\\r\\n")
        if sys.argv[1] == "mute":
            return time.sleep(60)
        try:
            stream = context.wrap_socket(self.request, server_side=True)
            stream.recv(65536)
            {
                "silent": lambda: time.sleep(60),
                "rubbish": lambda: stream.sendall(b"\\x00\\xff\\x1b[2J220 mail\\r\\n\\r\\n" * 50),
                "half": lambda: stream.sendall(
                    HEAD + b"Content-Length: 1000\\r\\n\\r\\n{\\"items\\": ["
                ),
                "flood": lambda: [
                    stream.sendall(HEAD + b'\\r\\n{"kind": "ServiceList", "items": ['),
                    *(stream.sendall(b"0," * 500_000) for _ in range(100)),
                ],
            }[sys.argv[1]]()
        except OSError:
            pass
class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
server = Server(("127.0.0.1", 0), Handler)
path = pathlib.Path("~/.kube/k3s.yaml").expanduser()
address = f"127.0.0.1:{server.server_address[1]}"
path.write_text(re.sub("127.0.0.1:[0-9]+", address, path.read_text()))
print("listening", flush=True)
server.serve_forever()
"""


def test_a_hostile_api_server_costs_a_moment_and_its_own_column(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    until(lab_tool, "kube-system/traefik:80/tcp", "answering")
    machine = lab_tool.machine
    for how in ("mute", "no TLS", "silent", "rubbish", "half", "flood"):
        with (
            machine.popen("/opt/k3s-standin/bin/python", "-I", "-c", _API, how) as hostile,
            reading(hostile) as lines,
        ):
            lines.wait_for("listening")
            measured = json.loads(
                machine.user("python3", "-c", _MEASURED, "k3s-rootless", "ports", "--json").stdout
            )

        assert 0 == measured["code"], (how, measured["err"])
        assert all(
            line.startswith("could not ask ") and line.isprintable()
            for line in measured["err"].splitlines()
        ), how
        assert measured["seconds"] < 13, (how, measured["seconds"])
        assert measured["mib"] < 150, (how, measured["mib"])
        document = json.loads(measured["out"])
        assert ["services"] == list(blind(document)), how
        assert blind(document)["services"].isprintable(), how
        found = {
            row["parent_port"]: (row["status"], row["forwarded"], row["listening"])
            for row in document["ports"]
        }
        assert ("unknown", True, True) == found[10080], how
        assert ("answering", True, True) == found[6443], how


# Without code of the package: the authority of another cluster, or an expired certificate that this
# cluster's authority signed.
_OTHER = """
import base64, datetime, pathlib, sys, trustme, yaml
path = pathlib.Path("~/.kube/k3s.yaml").expanduser()
found = yaml.safe_load(path.read_text())
cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
encoded = lambda data: base64.b64encode(data).decode()
if sys.argv[1] == "other":
    cluster["certificate-authority-data"] = encoded(trustme.CA().cert_pem.bytes())
else:
    tls = pathlib.Path("~/.rancher/k3s/server/tls").expanduser()
    pair = ((tls / name).read_bytes() for name in ("client-ca.crt", "client-ca.key"))
    authority = trustme.CA.from_pem(*pair)
    over = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    leaf = authority.issue_cert("admin.k3s.invalid", not_after=over)
    user["client-certificate-data"] = encoded(b"".join(pem.bytes() for pem in leaf.cert_chain_pems))
    user["client-key-data"] = encoded(leaf.private_key_pem.bytes())
path.write_text(yaml.safe_dump(found))
"""
_SIGN = f"/opt/k3s-standin/bin/python -I -c '{_OTHER}'"
SPOILT: dict[str, tuple[str, str]] = {
    "another cluster's": (f"{_SIGN} other", "certificate"),
    "expired": (f"{_SIGN} expired", "expired"),
    "rubbish": (f"head -c 100000 /dev/urandom > {KUBECONFIG}", "cannot use the kubeconfig"),
    "too long": (f"head -c 100000000 /dev/zero > {KUBECONFIG}", "it is larger than"),
    "half": (f"head -c 700 {KUBECONFIG}.kept > {KUBECONFIG}", "cannot use the kubeconfig"),
    "unreadable": (f"chmod 000 {KUBECONFIG}", "permission denied"),
    "another user's": (f"ln -sf /etc/hostname {KUBECONFIG}", "it belongs to uid 0"),
    "a pipe": (f"rm {KUBECONFIG} && mkfifo {KUBECONFIG}", "it is not a regular file"),
    "missing": (f"rm {KUBECONFIG}", "it is not there"),
}


UNVERIFIED = {"another cluster's", "expired"}
"""Kubeconfigs that can be read, with certificates that the API server or the client refuses."""
TLS = HOME / ".rancher/k3s/server/tls"


def test_without_a_usable_kubeconfig_services_come_by_k3s_own_credentials(lab_tool: Tool) -> None:
    lab_tool.up().check_returncode()
    machine = lab_tool.machine
    machine.user("cp", "-a", str(KUBECONFIG), f"{KUBECONFIG}.kept").check_returncode()
    for how, (spoil, reason) in SPOILT.items():
        machine.user("sh", "-c", spoil).check_returncode()
        if how in UNVERIFIED:
            expect_no_services(lab_tool, how, reason)
        else:
            expect_services(lab_tool, how)
            machine.user("mv", str(TLS), f"{TLS}.aside").check_returncode()
            expect_no_services(lab_tool, how, reason)
            machine.user("mv", f"{TLS}.aside", str(TLS)).check_returncode()
        machine.user(
            "sh", "-c", f"rm -f {KUBECONFIG}; cp -a {KUBECONFIG}.kept {KUBECONFIG}"
        ).check_returncode()


def expect_services(tool: Tool, how: str) -> None:
    document = tool.json("ports")
    assert {} == blind(document), how
    found = {row["parent_port"]: row["status"] for row in document["ports"]}
    assert ("answering", "answering") == (found[10080], found[6443]), how


def expect_no_services(tool: Tool, how: str, reason: str) -> None:
    """Require forwards and sockets in the answer, and this reason for missing Services."""
    begun = time.monotonic()
    document = tool.json("ports")
    assert time.monotonic() - begun < PATIENCE, how
    why = blind(document)["services"]
    assert reason in why, (how, why)
    assert why.isprintable(), how
    rows = document["ports"]
    found = {
        row["parent_port"]: (row["status"], row["forwarded"], row["listening"]) for row in rows
    }
    assert ("unknown", True, True) == found[10080], how
    assert ("answering", True, True) == found[6443], how
