"""Tests of the API of the stand-in over TLS, and of the listeners of its load balancer."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.patience import PATIENCE
from tests.standin.k3s_standin import certificates, cluster, kubeconfig, objects, rotation
from tests.standin.k3s_standin.answers import Answerer, Listener
from tests.standin.k3s_standin.api import Server
from tests.standin.k3s_standin.flags import Flags
from tests.standin.k3s_standin.health import Gate
from tests.standin.k3s_standin.journal import Fatal, Journal
from tests.standin.k3s_standin.orders import Orders
from tests.standin.k3s_standin.release import Release
from tests.standin.k3s_standin.resources import Verbs
from tests.standin.k3s_standin.servicelb import ServiceLB
from tests.standin.k3s_standin.watching import Context

WEB = {"metadata": {"name": "web"}, "spec": {"type": "LoadBalancer", "ports": [{"port": 8080}]}}
SERVICES = "/api/v1/namespaces/default/services"
MERGE = "application/merge-patch+json"


@dataclass
class Api:
    context: Context
    port: int
    trusted: ssl.SSLContext
    anonymous: ssl.SSLContext

    def connect(self, *, anonymous: bool = False) -> http.client.HTTPSConnection:
        context = self.anonymous if anonymous else self.trusted
        return http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE, context=context
        )

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        kind: str = "application/json",
        anonymous: bool = False,
    ) -> tuple[int, Any]:
        connection = self.connect(anonymous=anonymous)
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, {"Content-Type": kind}
            )
            response = connection.getresponse()
            data = response.read()
            return response.status, json.loads(data) if response.getheader(
                "Content-Type"
            ) == "application/json" else data
        finally:
            connection.close()


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    issued = certificates.prepare(tmp_path / "tls", (), 6444)
    state = cluster.Cluster()
    verbs = Verbs(state)
    for item in objects.namespaces():
        state.put("namespaces", item)
    for item in objects.built_in_services(6443, []):
        verbs.admit(item)
    for item in objects.deployments([]):
        state.put("deployments", item)
    context = Context(state, verbs, Gate(), Release("v1.33.4+k3s1"), issued, Journal())
    server = Server(("127.0.0.1", 0), context)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    anonymous = ssl.create_default_context(cadata=issued.server_ca.decode())
    trusted = ssl.create_default_context(cadata=issued.server_ca.decode())
    trusted.load_cert_chain(tmp_path / "tls/client-admin.crt", tmp_path / "tls/client-admin.key")
    yield Api(context, server.server_port, trusted, anonymous)
    context.gate.stopping.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/version", "/livez", "/healthz", "/readyz", "/cacerts", "/ping"])
def test_paths_that_anonymous_clients_can_read(api: Api, path: str) -> None:
    api.context.gate.ready.set()
    assert 200 == api.ask("GET", path, anonymous=True)[0]


def test_anonymous_clients_are_refused_elsewhere(api: Api) -> None:
    code, body = api.ask("GET", "/api/v1/nodes", anonymous=True)
    assert (401, "Status", "Unauthorized") == (code, body["kind"], body["reason"])


def test_readyz_names_what_is_not_ready_then_says_ok(api: Api) -> None:
    code, body = api.ask("GET", "/readyz")
    assert 500 == code
    assert b"[-]poststarthook/rbac/bootstrap-roles failed: reason withheld\n" in body
    assert 200 == api.ask("GET", "/livez")[0]
    api.context.gate.ready.set()
    assert (200, b"ok") == api.ask("GET", "/readyz")
    assert api.ask("GET", "/readyz?verbose")[1].endswith(b"readyz check passed\n")


def test_unknown_paths_are_a_status(api: Api) -> None:
    for path in ("/api/v1/configmaps", "/apis/apps/v1/services", "/nonsense"):
        code, body = api.ask("GET", path)
        assert (404, "Status", 404) == (code, body["kind"], body["code"])
    assert 'services "none" not found' == api.ask("GET", f"{SERVICES}/none")[1]["message"]


def test_lists_have_kubernetes_form(api: Api) -> None:
    _, body = api.ask("GET", "/api/v1/services")
    names = [item["metadata"]["name"] for item in body["items"]]
    assert (
        "ServiceList",
        ["kubernetes", "kube-dns", "metrics-server", "traefik"],
    ) == (body["kind"], names)
    _, body = api.ask("GET", "/api/v1/namespaces/kube-system/services?labelSelector=none%3Dx")
    assert [] == body["items"]
    _, first = api.ask("GET", "/api/v1/services?limit=3")
    _, rest = api.ask("GET", f"/api/v1/services?limit=3&continue={first['metadata']['continue']}")
    assert (3, 1) == (len(first["items"]), len(rest["items"]))
    assert 4 == len(api.ask("GET", "/apis/apps/v1/namespaces/kube-system/deployments")[1]["items"])
    assert 4 == len(api.ask("GET", "/api/v1/namespaces")[1]["items"])
    assert {"phase": "Active"} == api.ask("GET", "/api/v1/namespaces/default")[1]["status"]


def test_a_service_lives_through_every_verb(api: Api) -> None:
    code, made = api.ask("POST", SERVICES, WEB)
    assert 201 == code
    assert made["spec"]["ports"][0]["nodePort"] in range(30000, 32768)
    assert "AlreadyExists" == api.ask("POST", SERVICES, WEB)[1]["reason"]
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.9"}]}}}
    _, patched = api.ask("PATCH", f"{SERVICES}/web/status", status, kind=MERGE)
    assert [{"ip": "10.0.0.9"}] == patched["status"]["loadBalancer"]["ingress"]
    made["spec"]["ports"][0]["port"] = 8081
    assert "Conflict" == api.ask("PUT", f"{SERVICES}/web", made)[1]["reason"]
    made["metadata"]["resourceVersion"] = patched["metadata"]["resourceVersion"]
    _, put = api.ask("PUT", f"{SERVICES}/web", made)
    assert (put["spec"]["ports"][0]["port"], put["status"]) == (8081, patched["status"])
    _, turned = api.ask("PATCH", f"{SERVICES}/web", {"spec": {"type": "ClusterIP"}}, kind=MERGE)
    assert {"loadBalancer": {}} == turned["status"]
    assert 200 == api.ask("DELETE", f"{SERVICES}/web")[0]
    assert 404 == api.ask("GET", f"{SERVICES}/web")[0]


def test_refusals_are_statuses(api: Api) -> None:
    assert 422 == api.ask("POST", SERVICES, {"metadata": {"name": "x"}})[0]
    assert 404 == api.ask("POST", "/api/v1/namespaces/none/services", WEB)[0]
    assert 405 == api.ask("POST", f"{SERVICES}/web", WEB)[0]
    assert api.ask("PATCH", f"{SERVICES}/kubernetes", [], kind="application/json-patch+json")[
        0
    ] in {400, 415}


def test_a_watch_streams_changes_as_they_happen(api: Api) -> None:
    version = api.ask("GET", SERVICES)[1]["metadata"]["resourceVersion"]
    connection = api.connect()
    connection.request(
        "GET",
        f"{SERVICES}?watch=1&resourceVersion={version}&timeoutSeconds=1&allowWatchBookmarks=true",
    )
    response = connection.getresponse()
    api.ask("POST", SERVICES, WEB)
    began = time.monotonic()
    added = json.loads(response.readline())
    assert time.monotonic() - began < PATIENCE
    assert (
        "ADDED",
        "Service",
        "web",
    ) == (added["type"], added["object"]["kind"], added["object"]["metadata"]["name"])
    api.ask("PATCH", f"{SERVICES}/web", {"metadata": {"labels": {"a": "b"}}}, kind=MERGE)
    api.ask("DELETE", f"{SERVICES}/web")
    kinds = [json.loads(line)["type"] for line in response]
    assert ["MODIFIED", "DELETED", "BOOKMARK"] == kinds
    connection.close()


def test_a_watch_without_a_version_begins_with_what_there_is(api: Api) -> None:
    connection = api.connect()
    connection.request(
        "GET", "/api/v1/services?watch=true&timeoutSeconds=1&fieldSelector=metadata.name%3Dtraefik"
    )
    events = [json.loads(line) for line in connection.getresponse()]
    assert [("ADDED", "traefik")] == [
        (event["type"], event["object"]["metadata"]["name"]) for event in events
    ]
    connection.close()


def test_a_hanging_api_does_not_answer(api: Api) -> None:
    api.context.gate.hang.set()
    connection = http.client.HTTPSConnection(
        "127.0.0.1", api.port, timeout=0.3, context=api.trusted
    )
    with pytest.raises(TimeoutError):
        connection.request("GET", "/readyz")
    connection.close()


def test_a_restart_keeps_authorities_and_client_certificates_only(tmp_path: Path) -> None:
    tls = tmp_path / "tls"
    first = certificates.prepare(tls, (), 6444)
    serving = (tls / "serving-kube-apiserver.crt").read_bytes()
    second = certificates.prepare(tls, (), 6444)
    assert (first.server_ca, first.client_ca) == (second.server_ca, second.client_ca)
    assert first.admin_certificate == second.admin_certificate
    assert serving != (tls / "serving-kube-apiserver.crt").read_bytes()
    assert {0o600} == {path.stat().st_mode & 0o777 for path in tls.iterdir()}


def test_the_kubeconfigs_of_the_server_keep_their_port_until_a_rotation(tmp_path: Path) -> None:
    tls, journal = tmp_path / "server" / "tls", Journal()
    issued = certificates.prepare(tls, (), 6444)
    assert 6444 == rotation.named_port(tmp_path)
    certificates.prepare(tls, (), 7444)
    assert 6444 == rotation.named_port(tmp_path)

    assert 0 == rotation.run(
        ["rotate", "--data-dir", str(tmp_path)], Release("v1.36.3+k3s1"), journal
    )

    (backup,) = tls.parent.glob("tls-*")
    assert issued.admin_certificate == (backup / "client-admin.crt").read_bytes()
    assert not (tls / "client-admin.crt").exists()
    assert issued.client_ca == (tls / "client-ca.crt").read_bytes()
    renewed = certificates.prepare(tls, (), 7444)
    assert 7444 == rotation.named_port(tmp_path)
    assert issued.admin_certificate != renewed.admin_certificate
    with pytest.raises(Fatal):
        rotation.run(["rotate"], Release("v1.21.2+k3s1"), journal)


def test_the_kubeconfig_is_k3ss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    issued = certificates.prepare(tmp_path / "tls", (), 6444)
    ordered = tmp_path / "out" / "config"
    given = Flags(
        {
            "write-kubeconfig": [str(ordered)],
            "https-listen-port": ["7443"],
            "data-dir": [str(tmp_path)],
        }
    )
    assert ordered == kubeconfig.write(given, issued)
    assert ordered == (tmp_path / ".kube/k3s.yaml").readlink()
    assert 0o600 == ordered.stat().st_mode & 0o777
    config = yaml.safe_load(ordered.read_text())
    inside = config["clusters"][0]["cluster"]
    assert ("https://127.0.0.1:7443", "default") == (inside["server"], config["current-context"])
    assert base64.b64decode(inside["certificate-authority-data"]) == issued.server_ca
    assert {"client-certificate-data", "client-key-data"} == set(config["users"][0]["user"])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def running(*runs: Callable[[threading.Event], None]) -> Iterator[None]:
    stopping = threading.Event()
    threads = [threading.Thread(target=run, args=(stopping,), daemon=True) for run in runs]
    for thread in threads:
        thread.start()
    yield
    stopping.set()
    # The first thread holds the sockets; the others wait for changes that never come.
    threads[0].join(5)


def balance(
    state: cluster.Cluster, issued: certificates.Certificates, **options: Any
) -> contextlib.AbstractContextManager[None]:
    answerer = Answerer(issued.ingress)
    settings: dict[str, Any] = {"enabled": True, "delay": 0.0, "pending": ()} | options
    balancer = ServiceLB(state, answerer, Journal(), **settings)
    return running(answerer.run, balancer.run)


def ingress_of(state: cluster.Cluster, name: str, wait: float = 2.0) -> Any:
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline:
        found = state.get("services", "default", name)
        assert found is not None
        if found["status"]["loadBalancer"].get("ingress"):
            return found["status"]["loadBalancer"]["ingress"]
        time.sleep(0.01)
    return None


def test_a_load_balancer_gets_its_address_once_it_listens(tmp_path: Path) -> None:
    state, port = cluster.Cluster(), free_port()
    verbs = Verbs(state)
    spec = {"name": "web", "ports": [{"port": port, "nodePort": 0}]}
    with balance(state, certificates.prepare(tmp_path / "tls", (), 6444)):
        verbs.admit(objects.ordered_services(Orders(services=(spec,)))[0])
        assert [{"ip": "127.0.0.1"}] == ingress_of(state, "web")
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/")
        response = connection.getresponse()
        assert (response.status, response.read()) == (200, f"default/web:{port}\n".encode())
        connection.close()
        rival = spec | {"name": "rival"}
        verbs.admit(objects.ordered_services(Orders(services=(rival,)))[0])
        assert ingress_of(state, "rival", wait=0.3) is None


def test_pending_services_stay_pending(tmp_path: Path) -> None:
    state = cluster.Cluster()
    specs = (
        {"name": "one", "ports": [free_port()], "pending": True},
        {"name": "two", "ports": [free_port()]},
    )
    for item in objects.ordered_services(Orders(services=specs)):
        Verbs(state).admit(item)
    with balance(state, certificates.prepare(tmp_path / "tls", (), 6444), pending=("default/two",)):
        assert ingress_of(state, "one", wait=0.3) is None
        assert ingress_of(state, "two", wait=0.1) is None


def test_udp_ports_echo(tmp_path: Path) -> None:
    answerer, port = Answerer(certificates.prepare(tmp_path / "tls", (), 6444).ingress), free_port()
    answerer.open(Listener("default", "dns", "udp", 53, port))
    with running(answerer.run), socket.socket(type=socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.sendto(b"hello", ("127.0.0.1", port))
        assert b"hello" == client.recv(100)


def test_services_of_the_api_are_kept_and_ordered_ones_are_not(tmp_path: Path) -> None:
    state = cluster.Cluster()
    ordered = objects.ordered_services(Orders(services=({"name": "ordered", "ports": [1]},)))[0]
    made = {"metadata": {"namespace": "default", "name": "made"}, "spec": {"ports": [{"port": 2}]}}
    for item in (ordered, made):
        Verbs(state).admit(item)
    cluster.save(tmp_path / "state", state, objects.ORDERED)
    later, kept = cluster.load(tmp_path / "state")
    assert ["made"] == [item["metadata"]["name"] for item in kept]
    assert later.version > state.version
