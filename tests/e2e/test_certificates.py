"""Tests of certificates under a real systemd: listed, rotated, interrupted, new authorities."""

from __future__ import annotations

import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cluster.certificates import authority
from tests.cluster.certificates.authority import Issued
from tests.e2e.conftest import Tool
from tests.machine import HOME

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
DATA = HOME / ".rancher/k3s"
TLS = DATA / "server/tls"
RECORD = HOME / ".local/share/k3s-rootless/transaction.json"
QUICK = {"delay": 0.1, "ready_delay": 0.05, "node_delay": 0.05, "deployments_delay": 0.05}


@pytest.fixture
def started(lab_tool: Tool) -> Tool:
    """Return the tool next to a ready K3s, with a merged kubeconfig."""
    if lab_tool.machine.plays_k3s:
        lab_tool.order(**QUICK)
    lab_tool.up().check_returncode()
    lab_tool("kubeconfig", "merge").check_returncode()
    return lab_tool


def serials(tool: Tool) -> dict[str, str]:
    found = tool.json("certs", "list")
    assert [] == found["errors"]
    # Behind an authority, its file has those that have signed it.
    return {row["file"]: row["serial"] for row in reversed(found["certificates"])}


def assert_kubectl_works(tool: Tool) -> None:
    done = tool("kubectl", "get", "nodes")
    assert 0 == done.returncode, done.stderr


def test_certificates_are_listed_and_rotated(started: Tool) -> None:
    before = serials(started)

    refused = started("certs", "rotate")
    assert (2, True) == (refused.returncode, "--yes" in refused.stderr)
    done = started("certs", "rotate", "--yes", "--json")

    assert 0 == done.returncode, done.stderr
    answer = json.loads(done.stdout)
    assert "server/tls/client-admin.crt" in answer["renewed"]
    assert 0 == started.machine.user("test", "-d", answer["backup"]).returncode
    assert "refreshed the context" in done.stderr
    after = serials(started)
    assert before["server/tls/server-ca.crt"] == after["server/tls/server-ca.crt"]
    assert before["server/tls/client-admin.crt"] != after["server/tls/client-admin.crt"]
    assert_kubectl_works(started)
    assert not started.json("status")["pending"]


def test_an_interrupted_rotation_is_continued(started: Tool) -> None:
    machine = started.machine
    before = serials(started)
    started("down").check_returncode()
    done = started("certs", "rotate", "--service", "scheduler")
    assert 0 == done.returncode, done.stderr
    assert "at its next start" in done.stdout
    empty = {"phase": "staging", "running": True, "paths": [], "expected": {"data": "", "node": ""}}
    text = json.dumps({**empty, "kind": "rotation", "stopped": "2999-01-01T00:00:00+00:00"})
    machine.user("tee", str(RECORD), stdin=text).check_returncode()

    status = started("status")
    assert "a rotation of the certificates was interrupted" in status.stdout
    assert "finish: k3s-rootless certs rotate" in status.stdout
    done = started("certs", "rotate", "--yes", "--service", "admin")

    assert 0 == done.returncode, done.stderr
    assert "K3s is ready with" in done.stdout
    assert 0 != machine.user("test", "-e", str(RECORD)).returncode
    after = serials(started)
    changed = {name for name in before if before[name] != after[name]}
    assert {"server/tls/client-admin.crt", "server/tls/client-scheduler.crt"} <= changed
    assert "server/tls/client-controller.crt" not in changed


def present(tool: Tool, name: str) -> Issued:
    """Return an authority of the machine."""
    certificate, key = (
        tool.machine.user("cat", f"{TLS}/{name}.{kind}").stdout.encode() for kind in ("crt", "key")
    )
    loaded = serialization.load_pem_private_key(key, None)
    assert isinstance(loaded, ec.EllipticCurvePrivateKey)
    return Issued(x509.load_pem_x509_certificate(certificate), loaded)


def test_new_authorities_are_used_after_a_restart(started: Tool) -> None:
    machine = started.machine
    before = serials(started)
    machine.user("mkdir", "-p", "new/tls").check_returncode()
    for name in ("server-ca", "client-ca"):
        new = authority.issue(f"{name}@2", present(started, name))
        machine.user("tee", f"new/tls/{name}.crt", stdin=new.pem.decode()).check_returncode()
        key = f"umask 077 && cat > new/tls/{name}.key"
        machine.user("sh", "-c", key, stdin=new.key_pem.decode()).check_returncode()

    done = started("certs", "rotate-ca", "--path", "new", "--yes", "--timeout", "60")

    assert 0 == done.returncode, done.stderr
    after = serials(started)
    changed = {name for name in after if before[name] != after[name]}
    assert {"server-ca.crt", "client-ca.crt", "client-admin.crt"} <= {
        name.removeprefix("server/tls/") for name in changed
    }
    assert_kubectl_works(started)
    assert not started.json("status")["pending"]

    machine.user("cp", f"{TLS}/client-admin.key", "new/tls/server-ca.key").check_returncode()
    refused = started("certs", "rotate-ca", "--path", "new", "--yes")
    assert 1 == refused.returncode
    assert "its key does not belong to its first certificate" in refused.stderr
