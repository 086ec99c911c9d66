from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from k3s_rootless.observation import Known
from k3s_rootless.preflight.facts import MapProgram
from k3s_rootless.preflight.probes import host
from tests.preflight.trees import program

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can set this up")


def test_newuidmap_is_found_on_the_path_of_the_unit(tmp_path: Path) -> None:
    path = program(tmp_path / "usr/bin/newuidmap", 0o4755)
    program(tmp_path / "bin/newuidmap")

    found = host.map_program("newuidmap", "/usr/local/bin:/usr/bin:/bin", tmp_path)

    assert found == Known(MapProgram(str(path), owner=os.getuid(), setuid=True), str(path))


@pytest.mark.parametrize("mode", [0o755, 0o2755], ids=oct)
def test_a_program_without_the_setuid_bit_is_not_privileged(tmp_path: Path, mode: int) -> None:
    path = program(tmp_path / "usr/bin/newgidmap", mode)

    assert host.map_program("newgidmap", "/usr/bin", tmp_path) == Known(
        MapProgram(str(path), owner=os.getuid()), str(path)
    )


@needs_root
@pytest.mark.parametrize(("name", "bit"), [("newuidmap", 7), ("newgidmap", 6)])
def test_only_the_file_capability_of_the_program_counts(
    tmp_path: Path, name: str, bit: int
) -> None:
    path = program(tmp_path / "usr/bin" / name)

    def capable(*bits: int) -> bool:
        permitted = sum(1 << one for one in bits).to_bytes(4, "little")
        os.setxattr(path, "security.capability", b"\x01\0\0\x02" + permitted + bytes(12))
        found = host.map_program(name, "/usr/bin", tmp_path)
        return isinstance(found, Known) and found.value.capable

    try:
        assert [
            True,
            True,
            False,
            False,
        ] == [capable(bit), capable(6, 7), capable(13 - bit), capable(21)]
    except OSError as error:
        pytest.skip(f"the file system of {tmp_path} keeps no file capabilities: {error.strerror}")


@pytest.mark.parametrize("kind", ["missing", "not executable", "directory", "dangling", "loop"])
def test_a_program_that_cannot_be_executed_is_missing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "usr/bin/newuidmap"
    path.parent.mkdir(parents=True)
    if kind == "not executable":
        program(path, 0o644)
    elif kind == "directory":
        path.mkdir()
    elif kind in {"dangling", "loop"}:
        path.symlink_to("nowhere" if kind == "dangling" else path.name)

    assert Known(MapProgram(None), "/usr/bin") == host.map_program(
        "newuidmap", "/usr/bin", tmp_path
    )


@needs_root
def test_a_nosuid_mount_is_reported(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from k3s_rootless.preflight.probes import host as probes\n"
        f"print(probes.map_program('newuidmap', '/usr/bin', Path({str(tmp_path)!r})).value.nosuid)"
    )
    (tmp_path / "usr/bin").mkdir(parents=True)
    script = (
        f"mount -t tmpfs -o nosuid x {tmp_path}/usr/bin && install -m 4755 /bin/true"
        f" {tmp_path}/usr/bin/newuidmap && exec "
    )
    shell = ["unshare", "--mount", "sh", "-c", f'{script} "$@"', "sh", sys.executable, "-c", code]

    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    if done.returncode and "mount" in done.stderr:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")

    assert "True" == done.stdout.strip()


@pytest.mark.parametrize(
    "search", ["", ":", ".", "bin", ":/nowhere", "/nowhere:", "/nowhere::/nowhere", "./bin:../bin"]
)
def test_the_current_directory_is_not_searched_for_newuidmap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: str
) -> None:
    """A user who can write there could choose the program that is then trusted."""
    for place in (tmp_path, tmp_path / "bin"):
        program(place / "newuidmap", 0o4755)
    monkeypatch.chdir(tmp_path)

    for root in (tmp_path, Path("/")):
        assert host.map_program("newuidmap", search, root) == Known(MapProgram(None), search)
