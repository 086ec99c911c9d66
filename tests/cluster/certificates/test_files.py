"""Tests of the reader of certificate files: as K3s writes them, damaged, and of other users."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from k3s_rootless.cluster.certificates import files
from k3s_rootless.cluster.certificates.facts import Ends
from k3s_rootless.observation import Known, Unknown
from tests.cluster.certificates import authority

UID = os.getuid()


def ends(data: Path) -> Ends:
    found = files.ends(data, UID)
    assert isinstance(found, Known)
    return found.value


def test_a_new_data_directory_has_no_certificates(tmp_path: Path) -> None:
    assert Ends() == ends(tmp_path)


def test_each_certificate_is_read_and_no_copy_of_an_authority(tmp_path: Path) -> None:
    authority.write_cluster(tmp_path)

    names = [one.name for one in ends(tmp_path).files]

    assert [
        "server/tls/client-admin.crt",
        "server/tls/client-ca.crt",
        "server/tls/dynamic-cert.json",
        "server/tls/request-header-ca.crt",
        "server/tls/server-ca.crt",
        "server/tls/etcd/peer-ca.crt",
        "server/tls/etcd/server-ca.crt",
        "agent/client-kubelet.crt",
    ] == names


def test_the_ends_are_those_of_the_first_certificates(tmp_path: Path) -> None:
    authority.write_cluster(tmp_path, leaf_days=30)

    by_name = {one.name: one.ends for one in ends(tmp_path).files}

    for name in ("client-admin.crt", "dynamic-cert.json"):
        found = by_name[f"server/tls/{name}"]
        assert isinstance(found, Known)
        assert authority.NOW + timedelta(days=30) == found.value


def test_the_note_of_new_authorities_is_found(tmp_path: Path) -> None:
    authority.write_cluster(tmp_path)
    note = tmp_path / "server/tls/dynamic-cert-regenerate"
    note.touch()

    assert note == ends(tmp_path).saved


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.crt", b"tea", "it is not valid X.509"),
        ("a.crt", b"x" * 300_000, "it is larger than 262144 bytes"),
        ("dynamic-cert.json", b"{", "it is not valid JSON"),
        ("dynamic-cert.json", b"[]", "must be an object"),
        ("dynamic-cert.json", b'{"data": {}}', "required field is missing"),
        ("dynamic-cert.json", b'{"data": {"tls.crt": "%"}}', "is not Base64"),
    ],
)
def test_a_damaged_file_is_unknown(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "server/tls" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    (found,) = ends(tmp_path).files

    assert isinstance(found.ends, Unknown)
    assert reason in found.ends.reason


def test_a_file_of_another_user_and_a_pipe_are_unknown(tmp_path: Path) -> None:
    authority.write_cluster(tmp_path)
    os.mkfifo(tmp_path / "server/tls/pipe.crt")

    found = files.ends(tmp_path, UID + 1)

    assert isinstance(found, Known)
    assert all(isinstance(one.ends, Unknown) for one in found.value.files)


def test_keys_are_not_in_the_representation(tmp_path: Path) -> None:
    authority.write_cluster(tmp_path)

    found = files.read(tmp_path, UID)

    assert "BEGIN" not in repr(found)
