"""Tests of the readers in `support`, on a host with files that the test creates."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from k3s_rootless.support import host, secret_files


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_special_files_are_skipped_and_unreadable_files_are_reported(
    tmp_path: Path,
) -> None:
    data = written(tmp_path / "data", {"etc/rancher/k3s/config.yaml": "token: a-token-1\n"})
    (data / "agent/etc/containerd").mkdir(parents=True)
    os.mkfifo(data / "agent/etc/containerd/config.toml")
    (data / "agent/etc/containerd/config-v3.toml").symlink_to("config-v3.toml")
    (data / "etc/rancher/k3s/config.yaml.d").write_text("not a directory")

    kept = secret_files.read(data, tmp_path / "none", root=tmp_path / "root")

    assert ["token: a-token-1\n"] == [text for text in kept.texts if text]
    assert [problem.partition(" (")[0] for problem in kept.problems] == [
        f"{data}/agent/etc/containerd/config-v3.toml"
    ]


@pytest.mark.parametrize("name", ["/", "/a\0b", "/" + "x" * 300, "/dev/null/x"])
def test_a_configuration_file_can_have_any_name(tmp_path: Path, name: str) -> None:
    kept = secret_files.read(
        tmp_path / "data", tmp_path / "none", configurations=[Path(name)], root=tmp_path / "root"
    )

    assert not any(kept.texts)


def test_a_directory_with_too_many_drop_ins_is_read_in_part_and_reported(tmp_path: Path) -> None:
    files = {
        f"etc/rancher/k3s/config.yaml.d/{number:04}.yaml": f"token: {number}"
        for number in range(250)
    }
    root = written(tmp_path, files)

    kept = secret_files.read(tmp_path / "data", tmp_path / "none", root=root)

    assert 200 == len([text for text in kept.texts if text])
    assert (f"{root}/etc/rancher/k3s/config.yaml.d (more than 200 files)",) == kept.problems


def test_names_of_the_host_are_read_from_its_files(tmp_path: Path) -> None:
    root = written(
        tmp_path,
        {
            "etc/hostname": "box\n",
            "etc/hosts": (
                "127.0.0.1 localhost\n127.0.1.1 box.corp.example box # mine\n192.0.2.9"
                " other.example other\n"
            ),
            "etc/resolv.conf": (
                "# comment\nnameserver 192.0.2.1\nsearch corp.example lab.corp.example.\ndomain"
                " old.example\n"
            ),
            "proc/sys/kernel/domainname": "(none)\n",
            "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        },
    )

    assert ("box", "box.corp.example") == host.aliases(root, "box")
    assert ("corp.example", "lab.corp.example", "old.example") == host.domains(root)
    assert ("0123456789abcdef0123456789abcdef",) == host.machine_ids(root)


@pytest.mark.parametrize(
    "read", [host.domains, host.machine_ids, lambda root: host.aliases(root, "box")]
)
def test_missing_files_yield_no_names(tmp_path: Path, read: object) -> None:
    assert callable(read)
    assert () == read(tmp_path)
