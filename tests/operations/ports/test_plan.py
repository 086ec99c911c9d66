"""Tests of a plan of manifests: with a running K3s, a stopped one, and without systemd."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.ports import document
from k3s_rootless.operations.ports.plan import Plan, plan
from tests.fakes.session import PROJECT
from tests.operations.ports.k3s import K3s, listening, service

SCHEMA = PROJECT / "docs/reference/schemas/ports-plan-v2.json"
NOTHING = io.BytesIO()


def manifest(name: str, port: int, kind: str = "LoadBalancer") -> str:
    spec = {"type": kind, "ports": [{"port": port}]}
    return json.dumps({"kind": "Service", "metadata": {"name": name}, "spec": spec})


def of(k3s: K3s, *manifests: str) -> Plan:
    path = k3s.place / "planned.yaml"
    path.write_text("\n---\n".join(manifests))
    return plan(k3s.context, [str(path)], "default", NOTHING)


def states(found: Plan) -> dict[str, tuple[str, str]]:
    return {row.target: (row.status.value, row.reason) for row in found.rows}


def test_a_plan_names_conflicts_with_the_cluster_the_host_and_itself(k3s: K3s) -> None:
    k3s.services.append(service("web", {"port": 80}))
    with listening("127.0.0.1") as held, listening() as port:
        pass
    with listening("127.0.0.1") as held:
        found = of(
            k3s,
            manifest("same", 80),
            manifest("held", held),
            manifest("api", k3s.port),
            manifest("free", port),
            manifest("inner", 8500, "ClusterIP"),
        )

    rows = states(found)
    assert "port 10080 of the host is also needed by default/web:80" in rows["default/same:80"][1]
    assert "port-in-use" == rows[f"default/held:{held}"][0]
    assert "also needed by Kubernetes API" in rows[f"default/api:{k3s.port}"][1]
    assert ("forwarded", "") == rows[f"default/free:{port}"]
    assert "not-forwarded" == rows["default/inner:8500"][0]
    assert (3, 5, 1, ()) == (found.conflicts, found.objects, found.exit_code, found.unread)


def test_a_service_that_the_plan_replaces_is_not_a_conflict(k3s: K3s) -> None:
    with listening() as port:
        k3s.forward(port, port)
        k3s.services.append(service("web", {"port": port}))

        found = of(k3s, manifest("web", port))

    assert {f"default/web:{port}": ("forwarded", "")} == states(found)
    assert 0 == found.exit_code


def test_without_a_running_k3s_the_sockets_of_the_host_show_conflicts(k3s: K3s) -> None:
    k3s.stops()
    with listening("127.0.0.1") as held:
        found = of(k3s, manifest("held", held), manifest("web", 80))

    assert "port-in-use" == states(found)[f"default/held:{held}"][0]
    assert "forwarded" == states(found)["default/web:80"][0]
    assert (
        ("rootlesskit", "K3s is not running"),
        ("services", "K3s is not running"),
    ) == found.unread
    assert "Services unknown: K3s is not running" in found.notices


def test_without_a_user_manager_the_reason_is_that_of_systemd(k3s: K3s) -> None:
    k3s.bus.kill_bus()

    found = of(k3s, manifest("web", 80))

    assert "forwarded" == states(found)["default/web:80"][0]
    assert ["rootlesskit", "services"] == [name for name, _ in found.unread]
    assert "K3s is not running" not in dict(found.unread)["services"]


def test_a_dash_reads_standard_input_into_the_namespace(k3s: K3s) -> None:
    found = plan(k3s.context, ["-"], "team", io.BytesIO(manifest("web", 80).encode()))

    assert ["team/web:80"] == [row.target for row in found.rows]


def test_an_object_without_ports_is_counted(k3s: K3s) -> None:
    found = of(k3s, json.dumps({"kind": "ConfigMap", "metadata": {"name": "x"}}))

    assert ((), 1, 0) == (found.rows, found.objects, found.exit_code)


@pytest.mark.parametrize(
    ("content", "reason"), [("kind: [", "line 2: did not find"), ("- 1", "must be an object")]
)
def test_an_invalid_manifest_is_refused(k3s: K3s, content: str, reason: str) -> None:
    with pytest.raises(RootlessError, match=reason):
        of(k3s, content)


def test_a_missing_file_is_refused(k3s: K3s, tmp_path: Path) -> None:
    with pytest.raises(RootlessError, match="no such file"):
        plan(k3s.context, [str(tmp_path / "none.yaml")], "default", NOTHING)


def test_the_document_follows_the_schema(k3s: K3s) -> None:
    schema = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    found = of(k3s, manifest("web", 80), manifest("inner", 8500, "ClusterIP"))

    content = document.of_plan(found)

    schema.validate({"schema": "k3s-rootless/ports-plan/v2", **content})
    assert ["free", "not-forwarded"] == sorted(row["status"] for row in content["ports"])
    assert "forwarded" not in content["ports"][0]
