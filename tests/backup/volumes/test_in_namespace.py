"""Hosts on which no user namespace can be used."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.backup.volumes.in_namespace import InNamespace
from k3s_rootless.errors import RootlessError
from k3s_rootless.linux import id_mapping
from tests.backup.volumes import trees
from tests.fakes.session import PROJECT, as_user
from tests.linux.test_user_namespace import needs_namespaces, needs_root


@pytest.fixture
def place() -> Iterator[Path]:
    with trees.open_place() as found:
        yield found


def test_no_mapping(tmp_path: Path) -> None:
    within = InNamespace("newuidmap was not found", lambda: None)

    with pytest.raises(RootlessError, match="newuidmap was not found") as error:
        within.require(without_k3s=False)
    assert "k3s-rootless check" in (error.value.hint or "")
    assert within.ids == 1
    with pytest.raises(RootlessError, match="newuidmap was not found"):
        within.pack(tmp_path, tmp_path / "a.tar")
    assert not (tmp_path / "missing").exists()
    within.remove(tmp_path / "missing")


@needs_namespaces
def test_no_subordinate_ids(tmp_path: Path) -> None:
    mapping = replace(trees.root_mapping(tmp_path), uids=[])

    with pytest.raises(RootlessError, match="you have no subordinate ids"):
        InNamespace(mapping, lambda: None).require(without_k3s=False)


@needs_namespaces
def test_a_newuidmap_that_fails(tmp_path: Path) -> None:
    mapping = replace(trees.root_mapping(tmp_path), newuidmap="/bin/false")

    with pytest.raises(RootlessError, match="/bin/false: 1"):
        InNamespace(mapping, lambda: None).require(without_k3s=False)


@needs_namespaces
def test_a_k3s_with_other_ids_is_not_entered(tmp_path: Path) -> None:
    mapping = replace(trees.root_mapping(tmp_path), newuidmap="/bin/false")
    within = InNamespace(mapping, lambda: Path("/proc/self"))

    with pytest.raises(RootlessError, match="other subordinate ids"):
        within.require(without_k3s=False)
    with pytest.raises(RootlessError, match="/bin/false"):
        within.require(without_k3s=True)


@needs_namespaces
def test_a_k3s_that_has_ended(tmp_path: Path) -> None:
    mapping = replace(trees.root_mapping(tmp_path), newuidmap="/bin/false")

    with pytest.raises(RootlessError, match="it has just ended"):
        InNamespace(mapping, lambda: tmp_path / "gone").require(without_k3s=False)


@needs_root
def test_a_process_without_privileges_says_so(place: Path) -> None:
    """A process in a namespace without privileges cannot give up its groups, as any user."""
    flag = place / "sys/kernel/apparmor_restrict_unprivileged_userns"
    code = (
        "from pathlib import Path\nfrom k3s_rootless.linux import id_mapping\n"
        "import sys\nprint(id_mapping.lack_of_privileges(Path(sys.argv[1])))"
    )

    def printed(proc: Path) -> str:
        command = [*as_user(65_534), sys.executable, "-c", code, str(proc)]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
        return done.stdout

    assert "gives programs no privileges" in printed(place)
    flag.parent.mkdir(parents=True)
    flag.write_text("1\n")
    assert "AppArmor" in printed(place)
    assert id_mapping.is_restricted(place)
    flag.write_text("0\n")
    assert not id_mapping.is_restricted(place)


@pytest.mark.parametrize(
    ("text", "ranges", "expected"),
    [
        ("0 {own} 1\n1 100000 65536\n", [(100_000, 65_536)], True),
        ("0 {own} 1\n1 100000 1000\n1001 101000 1000\n", [(100_000, 2000)], True),
        ("0 {own} 1\n", [], True),
        ("0 {own} 1\n1 100000 65536\n", [(200_000, 65_536)], False),
        ("0 0 4294967295\n", [(100_000, 65_536)], False),
    ],
)
def test_mappings_are_compared(
    text: str, ranges: list[tuple[int, int]], *, expected: bool, tmp_path: Path
) -> None:
    (tmp_path / "uid_map").write_text(text.format(own=os.getuid()))
    (tmp_path / "gid_map").write_text(text.format(own=os.getgid()))

    assert expected is id_mapping.IdMapping("", "", ranges, ranges).matches(tmp_path)
