"""Tests of the token of the datastore and of the place of the kubeconfig, on real files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from k3s_rootless.k3s.origin import Origin, Source, Value
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.probes import configuration
from k3s_rootless.preflight.records import Target, Token

UID, GID = os.getuid(), os.getgid()
FULL = f"K10{'0' * 64}::server:right"
GIVEN = Origin(Source.ENVIRONMENT, variable="K3S_TOKEN")


def cluster(data: Path) -> Path:
    """Create a data directory with a datastore and its token."""
    (data / "server/db").mkdir(parents=True)
    (data / "server/db/state.db").touch()
    (data / "server/token").write_text(f"{FULL}\n")
    return data


def token(data: Path, text: str, name: str = "token") -> Token:
    found = configuration.token(data, Value(name, text, GIVEN), data)
    assert isinstance(found, Known), found
    assert "right" not in repr(found), "no token is kept"
    return found.value


@pytest.mark.parametrize(
    ("text", "fits"),
    [("right", True), (FULL, True), ("wrong", False), (f"{FULL}x", False), ("", True)],
)
def test_the_token_is_compared_by_its_password(tmp_path: Path, text: str, *, fits: bool) -> None:
    assert fits is token(cluster(tmp_path), text).fits


def test_a_token_file_is_read_and_a_missing_one_is_unknown(tmp_path: Path) -> None:
    cluster(tmp_path)
    (tmp_path / "good").write_text("right\n")
    (tmp_path / "wrong").write_text(f"{FULL.replace('right', 'other')}\n")

    assert token(tmp_path, "good", "token-file").fits
    assert False is token(tmp_path, "wrong", "token-file").fits
    missing = token(tmp_path, "missing", "token-file")
    assert (None, f"{tmp_path}/missing: no such file or directory") == (
        missing.fits,
        missing.reason,
    )


def test_a_new_cluster_accepts_any_token(tmp_path: Path) -> None:
    assert token(tmp_path, "anything").fits
    cluster(tmp_path)
    (tmp_path / "server/db/state.db").unlink()
    assert token(tmp_path, "anything").fits


def test_a_token_that_cannot_be_compared_is_unknown(tmp_path: Path) -> None:
    cluster(tmp_path)
    assert None is token(tmp_path, "abcdef.0123456789abcdef").fits
    (tmp_path / "server/token").unlink()
    found = configuration.token(tmp_path, Value("token", "right", GIVEN), tmp_path)
    assert isinstance(found, Unknown)


def target(path: Path, uid: int = UID, gid: int = GID) -> Target:
    found = configuration.target(path, uid, gid)
    assert isinstance(found, Known), found
    return found.value


def test_an_existing_or_missing_kubeconfig_can_be_written(tmp_path: Path) -> None:
    assert "" == target(tmp_path / "a/b/k3s.yaml").obstacle
    (tmp_path / "k3s.yaml").touch()
    assert "" == target(tmp_path / "k3s.yaml").obstacle
    (tmp_path / "link").mkdir()
    (tmp_path / "link/k3s.yaml").symlink_to("/nowhere/at/all")
    assert "" == target(tmp_path / "link/k3s.yaml").obstacle


def test_k3s_can_write_own_files_whatever_their_mode(
    tmp_path: Path,
) -> None:
    closed = tmp_path / ".kube"
    closed.mkdir(mode=0o500)
    assert "" == target(closed / "k3s.yaml").obstacle


_AS_OVERFLOW_USER = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
from pathlib import Path
from k3s_rootless.preflight.probes import configuration as config_probes
found = config_probes.target(Path(sys.argv[1]), 65534, 65534).value
print(found.obstacle, found.own, sep="|")
"""


def as_overflow_user(path: Path) -> str:
    root = Path(__file__).parents[3]
    run = subprocess.run(
        [sys.executable, "-c", _AS_OVERFLOW_USER, str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root)},
    )
    return run.stdout.strip()


@pytest.mark.skipif(UID != 0, reason="needs files of another user")
def test_files_of_another_user_cannot_be_written(tmp_path: Path) -> None:
    for one in (tmp_path, *tmp_path.parents[:-2]):
        one.chmod(0o755)
    foreign = tmp_path / ".kube"
    foreign.mkdir(mode=0o755)
    assert f"{foreign} is not writable|False" == as_overflow_user(foreign / "k3s.yaml")
    os.chown(foreign, 65534, 65534)
    file = foreign / "k3s.yaml"
    file.touch(mode=0o644)
    assert f"{file} is not writable|False" == as_overflow_user(file)
    os.chown(file, 65534, 65534)
    file.chmod(0o400)
    assert "|True" == as_overflow_user(file)


def test_another_kind_of_file_prevents_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "k3s.yaml").mkdir()
    assert f"{tmp_path}/k3s.yaml is not a regular file" == target(tmp_path / "k3s.yaml").obstacle
    (tmp_path / ".kube").touch()
    assert f"{tmp_path}/.kube is not a directory" == target(tmp_path / ".kube/k3s.yaml").obstacle
