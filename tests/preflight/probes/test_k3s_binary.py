from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from k3s_rootless.observation import Known, Unknown
from k3s_rootless.preflight.facts import K3sBinary
from k3s_rootless.preflight.probes import host
from k3s_rootless.preflight.remedies import k3s_binary
from tests.patience import PATIENCE
from tests.strategies import version

RELEASE = "v1.33.4+k3s1"
ANSWER = f"echo 'k3s version {RELEASE} (148243c4)'; echo 'go version go1.24.5'"


def script(path: Path, body: str = ANSWER, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def probe(tmp_path: Path, search: str = "", **environ: str) -> K3sBinary:
    return host.k3s_binary(
        {"PATH": f"{tmp_path}/path", **environ}, search, tmp_path / "home", seconds=5
    )


def test_a_k3s_is_found_and_queried_for_its_release(tmp_path: Path) -> None:
    path = script(tmp_path / "path/k3s")

    release = Known(version(RELEASE), f"{path} --version")
    assert probe(tmp_path) == K3sBinary(
        str(path), executable=True, owner=os.getuid(), version=release
    )


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (["path", "unit", "home/.local/bin", "home/bin"], "path"),
        (["unit", "home/.local/bin", "home/bin"], "unit"),
        (["home/.local/bin", "home/bin"], "home/.local/bin"),
        (["home/bin"], "home/bin"),
    ],
)
def test_the_first_k3s_in_the_path_of_the_user_is_used(
    tmp_path: Path, places: list[str], expected: str
) -> None:
    for place in places:
        script(tmp_path / place / "k3s")

    assert probe(tmp_path, f"{tmp_path}/unit").path == str(tmp_path / expected / "k3s")


def test_a_link_is_followed_to_the_program(tmp_path: Path) -> None:
    real = script(tmp_path / "versions/k3s-v1.33.4")
    (tmp_path / "path").mkdir()
    (tmp_path / "path/k3s").symlink_to("../versions/k3s-v1.33.4")

    assert probe(tmp_path).path == str(real)


@pytest.mark.parametrize("search", [":", ".", "", ":/nowhere", "/nowhere:", "bin", "./bin::../bin"])
def test_the_current_directory_is_not_searched_for_a_k3s_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, search: str
) -> None:
    """Another user's k3s in the directory where the command is typed must not be started."""
    for place in (tmp_path, tmp_path / "bin"):
        script(place / "k3s", f"touch {tmp_path}/started; {ANSWER}")
    monkeypatch.chdir(tmp_path)

    found = host.k3s_binary({"PATH": search}, search, Path("/nowhere"), seconds=5)

    assert K3sBinary(None) == found
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("kind", ["missing", "directory", "dangling", "loop"])
def test_without_a_program_there_is_no_k3s(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "path/k3s"
    path.parent.mkdir()
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        path.symlink_to("nowhere" if kind == "dangling" else "k3s")

    assert K3sBinary(None) == probe(tmp_path)


def test_a_k3s_that_is_not_executable_is_reported(tmp_path: Path) -> None:
    path = script(tmp_path / "path/k3s", mode=0o644)

    assert probe(tmp_path) == K3sBinary(str(path))


def test_an_executable_k3s_is_preferred_to_an_earlier_one_that_is_not(tmp_path: Path) -> None:
    script(tmp_path / "path/k3s", mode=0o644)
    path = script(tmp_path / "home/bin/k3s")

    assert probe(tmp_path).path == str(path)


def test_a_k3s_that_every_user_can_write_is_reported_and_not_run(tmp_path: Path) -> None:
    path = script(tmp_path / "path/k3s", f"touch {tmp_path}/started; {ANSWER}", mode=0o757)

    found = probe(tmp_path)

    assert found.path == str(path)
    assert f"every user can write to {path} (mode 0757)" == found.risk
    assert found.version == Unknown(f"{path} was not run: {found.risk}")
    assert not (tmp_path / "started").exists()


def test_a_trusted_k3s_is_preferred_to_an_earlier_one_that_others_can_write(tmp_path: Path) -> None:
    script(tmp_path / "path/k3s", mode=0o757)
    path = script(tmp_path / "home/bin/k3s")

    assert probe(tmp_path).path == str(path)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "'nothing'"),
        ("echo hello", "'hello'"),
        ("echo 'k3s version dev (HEAD)'", "'k3s version dev (HEAD)'"),
        ("exit 3", "exit status 3"),
        ("kill -9 $$", "exit status -9"),
        (f"({ANSWER}) >&2", "'nothing'"),
        ("printf '\\377\\376\\033[2J'", r"\x1b[2J"),
        ("head -c 10000000 /dev/zero", r"\x00\x00"),
        ("head -c 10000000 /dev/zero | tr '\\0' '\\n'", "''"),
    ],
    ids=[
        "nothing",
        "garbage",
        "dev",
        "failure",
        "killed",
        "stderr only",
        "escapes",
        "10 MB",
        "10 MB of lines",
    ],
)
def test_other_output_than_that_of_k3s_is_no_release(
    tmp_path: Path, body: str, reason: str
) -> None:
    script(tmp_path / "path/k3s", body)

    found = probe(tmp_path).version

    assert isinstance(found, Unknown)
    assert reason in found.reason
    assert found.reason.isprintable()
    assert len(found.reason) < 600


@pytest.mark.parametrize(
    "content",
    [b"", b"\x7fELF garbage", b"#!/nonexistent/sh\n"],
    ids=["empty", "broken ELF", "no interpreter"],
)
def test_a_program_that_the_kernel_cannot_execute_has_no_release(
    tmp_path: Path, content: bytes
) -> None:
    path = script(tmp_path / "path/k3s")
    path.write_bytes(content)

    found = probe(tmp_path).version

    assert isinstance(found, Unknown)
    assert found.reason.startswith(f"cannot run `{path} --version`: ")


@pytest.mark.parametrize(
    "body",
    ["sleep 240", "sleep 240 & sleep 240", f"{ANSWER}; sleep 240 &"],
    ids=["hangs", "forks", "lets go"],
)
def test_a_k3s_that_does_not_exit_is_killed(tmp_path: Path, body: str) -> None:
    path = script(tmp_path / "path/k3s", body)
    start = time.monotonic()

    found = host.k3s_binary({"PATH": f"{tmp_path}/path"}, "", tmp_path, seconds=0.2).version

    assert found == Unknown(f"`{path} --version` did not finish within 0.2 s")
    assert time.monotonic() - start < PATIENCE


def test_the_release_does_not_depend_on_the_environment_of_the_caller(tmp_path: Path) -> None:
    """A k3s before 2023-06 exits if it is not allowed to read its configuration file.

    It also exits if K3S_CONFIG_FILE names a file that does not exist.
    """
    reads = 'cat "$K3S_CONFIG_FILE" || exit 1'
    script(
        tmp_path / "path/k3s",
        f'{reads}; env > {tmp_path}/environ; echo "k3s version ${{K3S_DEBUG}}{RELEASE} (148243c4)"',
    )

    found = probe(tmp_path, K3S_DEBUG="1", K3S_CONFIG_FILE="/etc/rancher/k3s/config.yaml")

    assert isinstance(found.version, Known)
    environ = dict(line.split("=", 1) for line in (tmp_path / "environ").read_text().splitlines())
    assert "K3S_DEBUG" not in environ
    assert environ["HOME"] == str(tmp_path / "home")


def test_a_path_can_contain_spaces_and_quotes(tmp_path: Path) -> None:
    path = script(tmp_path / "it's a $(path)/k3s")

    found = host.k3s_binary({"PATH": str(path.parent)}, "", tmp_path, seconds=5)

    assert found.path == str(path)
    assert isinstance(found.version, Known)


def test_a_path_too_long_for_the_kernel_has_no_k3s(tmp_path: Path) -> None:
    script(tmp_path / "home/bin/k3s")

    found = probe(tmp_path, f"/{'x' * 300}:/{'y/' * 3000}")

    assert found.path == str(tmp_path / "home/bin/k3s")


@pytest.mark.parametrize(
    "owner", [os.getuid(), os.getuid() + 1], ids=["the user's own", "another user's"]
)
def test_after_the_remedy_for_an_old_k3s_the_new_one_is_found(tmp_path: Path, owner: int) -> None:
    """The commands run in a shell with a `curl` that writes the new k3s.

    The probe then uses the PATH of that shell.
    """
    old = script(tmp_path / "path/k3s", "echo 'k3s version v1.20.15+k3s1 (148243c4)'")
    new = script(tmp_path / "download")
    script(tmp_path / "tools/curl", f'cp {new} "$2"')
    remedy = k3s_binary.instead(replace(probe(tmp_path), owner=owner), "x86_64", os.getuid())
    (tmp_path / "home").mkdir()

    commands = "\n".join([*remedy.commands, 'echo "$PATH"'])
    environ = {"HOME": f"{tmp_path}/home", "PATH": f"{tmp_path}/path:{tmp_path}/tools:{os.defpath}"}
    done = subprocess.run(
        ["sh", "-euc", commands], env=environ, capture_output=True, text=True, check=True
    )
    found = probe(tmp_path, PATH=done.stdout.strip())

    assert str(old) in remedy.text
    assert isinstance(found.version, Known)
    assert RELEASE == str(found.version.value)
    assert (owner == os.getuid()) == (found.path == str(old))
    profile = tmp_path / "home/.profile"
    assert profile.exists() == (owner != os.getuid())
