"""Tests that a kubeconfig in K3s's own form is read as PyYAML reads it.

A file that differs by one byte is left to PyYAML.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from k3s_rootless.cluster.kubeconfig import k3s_form
from k3s_rootless.cluster.kubeconfig import read as kubeconfig

UID = os.getuid()
# As captured from K3s v1.21; releases from 2025 on omit `preferences` (client-go 0.34).
FORM = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {0}
    server: https://{3}:{4}
  name: default
contexts:
- context:
    cluster: default
    user: default
  name: default
current-context: default
kind: Config
{5}users:
- name: default
  user:
    client-certificate-data: {1}
    client-key-data: {2}
"""
pems = st.binary(min_size=1, max_size=90).map(
    lambda some: base64.b64encode(b"-----BEGIN" + some).decode()
)
hosts = st.sampled_from(["127.0.0.1", "localhost", "k3s.example", "10.1.2.3"])
changes = st.sampled_from([b"", b" ", b"\n", b"#", b":", b"- ", b"x", b"="])
forms = st.builds(
    FORM.format,
    pems,
    pems,
    pems,
    hosts,
    st.integers(1, 65535),
    st.sampled_from(["", "preferences: {}\n"]),
)


def needed(document: Any) -> dict[str, Any]:
    """Return the parts of a kubeconfig that a connection needs."""
    return {name: document[name] for name in ("clusters", "contexts", "current-context", "users")}


@given(forms)
def test_the_form_is_read_as_pyyaml_reads_it(text: str) -> None:
    assert needed(yaml.safe_load(text)) == k3s_form.document(text.encode())


@given(forms, st.data())
@settings(max_examples=400)
def test_a_changed_file_is_refused_or_read_as_pyyaml_reads_it(
    text: str, data: st.DataObject
) -> None:
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"", b" ", b"\n", b"#", b":", b"- ", b"x", b"="])
        )

    found = k3s_form.document(bytes(content))

    assert found is None or found == needed(yaml.safe_load(bytes(content)))


def test_only_an_edited_file_loads_pyyaml(tmp_path: Path) -> None:
    path = tmp_path / "k3s.yaml"
    pem = base64.b64encode(b"-----BEGIN CERTIFICATE-----").decode()
    code = (
        "import sys, pathlib; from k3s_rootless.cluster.kubeconfig import read\nfound ="
        " read.load(pathlib.Path(sys.argv[1]), uid=int(sys.argv[2])); print(found.port,"
        " 'yaml' in sys.modules)"
    )
    found = []
    for text in (FORM, FORM.replace("kind: Config", "kind: 'Config'")):
        path.write_text(text.format(pem, pem, pem, "127.0.0.1", 7443, ""))
        path.chmod(0o600)
        run = subprocess.run(
            [sys.executable, "-c", code, path, str(UID)], capture_output=True, text=True, check=True
        )
        found.append(run.stdout.split())

    assert [["7443", "False"], ["7443", "True"]] == found
    assert b"-----BEGIN CERTIFICATE-----" == kubeconfig.load(path, uid=UID).authority
