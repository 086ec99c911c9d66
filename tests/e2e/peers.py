"""Changes to a cluster and its host without the tool: Services, ports in use, lost forwards."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.machine import HOME, Machine

SOCKET = HOME / ".rancher/k3s/rootless/api.sock"
# Uses no code of the package under test: only the Python of the stand-in, its libraries, and the
# kubeconfig.
_REQUEST = """
import base64, http.client, json, os, ssl, sys, tempfile, urllib.parse, yaml
found = yaml.safe_load(open(os.path.expanduser("~/.kube/k3s.yaml")))
cluster, user = found["clusters"][0]["cluster"], found["users"][0]["user"]
authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
context = ssl.create_default_context(cadata=authority)
with tempfile.NamedTemporaryFile() as pair:
    pair.write(base64.b64decode(user["client-certificate-data"]))
    pair.write(base64.b64decode(user["client-key-data"]))
    pair.flush()
    context.load_cert_chain(pair.name)
url = urllib.parse.urlsplit(cluster["server"])
connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=20)
for method, path, body in json.load(sys.stdin):
    headers = {"Content-Type": "application/json"}
    connection.request(method, path, body and json.dumps(body), headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    if answer.status >= 300:
        sys.exit(f"{method} {path}: {answer.status} {text}")
"""


def request(machine: Machine, *requests: tuple[str, str, dict[str, Any] | None]) -> None:
    """Send requests to the API server, in one connection."""
    done = machine.user(
        "/opt/k3s-standin/bin/python", "-I", "-c", _REQUEST, stdin=json.dumps(requests)
    )
    assert 0 == done.returncode, done.stderr


def service(name: str, *ports: Any, **more: Any) -> dict[str, Any]:
    """Return a LoadBalancer Service.

    `more` goes into its spec, except `annotations` and `ingress`.
    """
    listed = [{"port": one} if isinstance(one, int) else one for one in ports]
    metadata = {"name": name, "annotations": more.pop("annotations", {})}
    status = {"loadBalancer": {"ingress": more.pop("ingress", [])}}
    spec = {
        "type": "LoadBalancer",
        "ports": [{"nodePort": 0, "name": f"p{one['port']}", **one} for one in listed],
        **more,
    }
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": spec,
        "status": status,
    }


def create(machine: Machine, *services: dict[str, Any]) -> None:
    """Create Services in the namespace `default`."""
    request(machine, *(("POST", "/api/v1/namespaces/default/services", one) for one in services))


def delete(machine: Machine, *names: str) -> None:
    """Remove Services of the namespace `default`."""
    request(
        machine,
        *(("DELETE", f"/api/v1/namespaces/default/services/{name}", None) for name in names),
    )


def pod(name: str, host_port: int, **labels: str) -> dict[str, Any]:
    """Return a Pod that requests a port of its node."""
    container = {"name": "c", "image": "c", "ports": [{"containerPort": 80, "hostPort": host_port}]}
    metadata = {"name": name, "namespace": "default", "labels": labels}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container]},
    }


def server_pid(machine: Machine) -> str:
    """Return the PID of the server inside the namespaces."""
    return machine.user("pgrep", "-f", "k3s_standin server", "-n").stdout.strip()


def forwards(machine: Machine) -> list[dict[str, Any]]:
    """Return the forwards, as rootlesskit's own client lists them."""
    done = machine.user("rootlessctl", "--socket", str(SOCKET), "list-ports", "--json")
    return [json.loads(line) for line in done.stdout.splitlines()]


def close_forward(machine: Machine, parent_port: int) -> None:
    """Remove a forward without K3s."""
    (number,) = [one["id"] for one in forwards(machine) if one["spec"]["parentPort"] == parent_port]
    machine.user(
        "rootlessctl", "--socket", str(SOCKET), "remove-ports", str(number)
    ).check_returncode()


def open_forward(machine: Machine, spec: str) -> None:
    """Add a forward that K3s does not know.

    `spec` is in the form of rootlessctl, such as `0.0.0.0:9999:9999/tcp`.
    """
    machine.user("rootlessctl", "--socket", str(SOCKET), "add-ports", spec).check_returncode()


@contextlib.contextmanager
def using_ports(machine: Machine, port: int, *more: int, as_root: bool = False) -> Iterator[None]:
    """Run a program of the user, or of root, that listens on ports of the host.

    The unit of the program has the first port in its name.
    """
    unit = f"holder-{port}.service"
    run = machine.root if as_root else machine.user
    user = [] if as_root else ["--user"]
    ports = [port, *more]
    listen = (
        f"import socket; used = [socket.create_server(('127.0.0.1', port)) for port in {ports}];"
        " used[0].accept()"
    )
    run(
        "systemd-run", *user, "--quiet", f"--unit={unit}", "/usr/bin/python3", "-c", listen
    ).check_returncode()
    try:
        until(lambda: f":{ports[-1]} " in machine.root("ss", "-Htln").stdout)
        yield
    finally:
        run("systemctl", *user, "stop", unit)


def until(true: Callable[[], bool], seconds: float = 10) -> None:
    """Wait until a condition is true, or fail."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "the condition was not true in time"
        time.sleep(0.05)
