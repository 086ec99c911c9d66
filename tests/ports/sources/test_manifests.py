from __future__ import annotations

import io
from pathlib import Path

import pytest

from k3s_rootless.errors import RootlessError
from k3s_rootless.ports.sources.manifests import Manifests

WEB = """\
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  ports: [{name: http, port: 80, nodePort: 30080, appProtocol: http}, \
{name: dns, port: 53, protocol: UDP}]
"""
HEAD = "kind: Service\nmetadata: {name: web}\n"
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent, namespace: monitoring}
spec:
  template:
    spec: {containers: [{name: a, ports: \
[{containerPort: 9100, hostPort: 9100}, {containerPort: 1}]}]}
"""
CRON = """\
kind: CronJob
metadata: {name: nightly}
spec: {jobTemplate: {spec: {template: {spec: {containers: \
[{name: a, ports: [{containerPort: 1, hostPort: 7}]}]}}}}}
"""


def read(text: str, namespace: str = "default") -> Manifests:
    found = Manifests(namespace)
    found.read("-", io.BytesIO(text.encode()))
    return found


def test_documents_lists_and_templates_are_read() -> None:
    nested = (
        "kind: List\nitems:\n- "
        + WEB.replace("\n", "\n  ").rstrip()
        + "\n- {kind: ConfigMap, metadata: {name: c}}\n"
    )
    typed = (
        "kind: ServiceList\nitems: [{metadata: {name: inner, namespace: n}, spec: {ports: [{port:"
        " 1}]}}]\n"
    )

    documents = [WEB, nested, typed, DEPLOYMENT, CRON]
    found = read("---\n# nothing\n---\n".join(documents), namespace="apps")

    assert [
        ("apps", "web", "tcp", 80, 30080, "LoadBalancer"),
        ("apps", "web", "udp", 53, 0, "LoadBalancer"),
        ("apps", "web", "tcp", 80, 30080, "LoadBalancer"),
        ("apps", "web", "udp", 53, 0, "LoadBalancer"),
        ("n", "inner", "tcp", 1, 0, "ClusterIP"),
    ] == [
        (one.namespace, one.service, one.proto, one.port, one.node_port, one.type)
        for one in found.services
    ]
    assert "http" == found.services[0].app_protocol
    assert [
        ("monitoring", "Deployment agent", 9100),
        ("apps", "CronJob nightly", 7),
    ] == [(one.namespace, one.owner, one.port) for one in found.pods]
    assert 6 == found.objects


def test_json_is_yaml() -> None:
    assert 1 == len(
        read(
            '{"kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}'
        ).services
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "kind: Service\nmetadata: {name: web}\nspec: {ports: [{port: eighty}]}",
            "document 1: spec.ports.0.port: must be an integer",
        ),
        (
            "kind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 70000}]}",
            "document 1: spec.ports.0.port: must be a port from 1 to 65535",
        ),
        (
            WEB + "---\nkind: Service\nmetadata: {name: api}",
            "document 2: spec: required field is missing",
        ),
        ("kind: Service\nmetadata: {name: on}\nspec: {}", "metadata.name|name: must be a string"),
        ("just: words", "document 1: kind: required field is missing"),
        ("- a", "document 1: must be an object"),
        ("a: [", "line 2: "),
        ("a: &a [*a]\nkind: List\nitems: *a", "document 1: "),
        ("\x00", "not allowed"),
        ("[" * 20_000, "nested too deeply|line 2"),
    ],
)
def test_an_invalid_manifest_is_refused_with_the_place(text: str, expected: str) -> None:
    with pytest.raises(RootlessError, match=expected) as caught:
        read(text)

    assert "standard input" in caught.value.message
    assert caught.value.message.isprintable()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RootlessError, match=r"cannot read `.*none.yaml`: no such file or directory"
    ):
        Manifests().read(str(tmp_path / "none.yaml"), io.BytesIO())
    with pytest.raises(RootlessError, match="larger than 16 MiB"):
        read("#" * (16 * 1024 * 1024 + 1))


def test_a_list_that_contains_itself_is_refused() -> None:
    with pytest.raises(RootlessError, match=r"more than 100000 objects|document 1"):
        read("kind: List\nitems: &items\n- kind: List\n  items: *items\n")
