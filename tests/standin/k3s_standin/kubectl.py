"""Subset of `k3s kubectl`: `get`, `get --raw`, `config view` and `version`.

It uses the same kubeconfig as kubectl of K3s.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

_HOST_KUBECONFIG = Path("/etc/rancher/k3s/k3s.yaml")
_ALIASES = {
    "service": "services",
    "svc": "services",
    "node": "nodes",
    "no": "nodes",
    "namespace": "namespaces",
}
_ALIASES |= {"ns": "namespaces", "deployment": "deployments", "deploy": "deployments"}


def run(arguments: list[str]) -> int:
    """Run a kubectl command, and return its exit status."""
    positional = [one for one in arguments if not one.startswith("-")]
    if arguments[:2] == ["config", "view"]:
        print(kubeconfig().read_text(), end="")
        return 0
    if positional[:1] == ["version"]:
        return _show("/version")
    if positional[:1] != ["get"]:
        print(f'error: unknown command "{" ".join(positional[:1])}" for "kubectl"', file=sys.stderr)
        return 1
    if "--raw" in arguments:
        return _show(arguments[arguments.index("--raw") + 1])
    return _get(arguments[1:])


def kubeconfig() -> Path:
    """Return the kubeconfig: KUBECONFIG, else that of the host if it exists, else the user's."""
    if os.environ.get("KUBECONFIG"):
        return Path(os.environ["KUBECONFIG"])
    return _HOST_KUBECONFIG if _HOST_KUBECONFIG.exists() else Path.home() / ".kube" / "k3s.yaml"


def request(path: str, method: str = "GET", body: object = None) -> tuple[int, bytes]:
    """Request a path of the API with the certificates of the kubeconfig."""
    config = yaml.safe_load(kubeconfig().read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    with tempfile.NamedTemporaryFile() as file:
        file.write(
            base64.b64decode(user["client-certificate-data"])
            + base64.b64decode(user["client-key-data"])
        )
        file.flush()
        context.load_cert_chain(file.name)
    address = urlsplit(cluster["server"])
    connection = http.client.HTTPSConnection(
        str(address.hostname), address.port, timeout=10, context=context
    )
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, content, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _get(arguments: list[str]) -> int:
    options, positional, rest = {"-n": "default", "-o": ""}, list[str](), list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument in {"-n", "--namespace", "-o", "--output"} and rest:
            options[argument[:2] if not argument.startswith("--") else f"-{argument[2]}"] = (
                rest.pop(0)
            )
        elif argument in {"-A", "--all-namespaces"}:
            options["-n"] = ""
        else:
            positional.append(argument)
    plural = _ALIASES.get(positional[0], positional[0])
    base = "/apis/apps/v1" if plural == "deployments" else "/api/v1"
    inside = (
        f"/namespaces/{options['-n']}"
        if options["-n"] and plural in {"services", "deployments"}
        else ""
    )
    name = f"/{positional[1]}" if len(positional) > 1 else ""
    return _show(f"{base}{inside}/{plural}{name}", names=options["-o"] != "json")


def _show(path: str, *, names: bool = False) -> int:
    try:
        code, body = request(path)
    except OSError as error:
        print(f"Unable to connect to the server: {error}", file=sys.stderr)
        return 1
    if code != 200:
        print(f"Error from server: {json.loads(body).get('message', '')}", file=sys.stderr)
        return 1
    if not names:
        print(body.decode().rstrip("\n"))
        return 0
    document: dict[str, Any] = json.loads(body)
    for item in document.get("items", [document]):
        print(item["metadata"]["name"])
    return 0
