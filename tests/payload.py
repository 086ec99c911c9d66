"""Payload of a machine under test: the project, installed from its wheel, and the K3s stand-in.

The directory has the layout of the machine's disk:

    opt/k3s-rootless/    an environment with the project and its locked dependencies
    opt/k3s-standin/     an environment with the stand-in and its dependencies
    usr/local/bin/       the launchers `k3s-rootless` and `k3s`

Both environments run on /usr/bin/python3 of the machine, and are built for this Python only.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.machine import MachineError

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "payload"
UV = ROOT / ".cache" / "uv" / "bin" / "uv"
PYTHON = Path("/usr/bin/python3")

LAUNCHERS = {
    "k3s-rootless": """\
#!/opt/k3s-rootless/bin/python -I
import sys

from k3s_rootless.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
""",
    "k3s": """\
#!/bin/sh
exec /opt/k3s-standin/bin/python -I -m k3s_standin "$@"
""",
}

_STANDIN = ROOT / "tests" / "standin" / "k3s_standin"
_LOCK = ROOT / "requirements.lock"
_PROJECT = ROOT / "pyproject.toml"
_PROJECT_FILES = (
    _PROJECT,
    ROOT / "README.md",
    ROOT / "LICENSE",
    ROOT / "k3s_rootless",
    ROOT / "units",
)
_UNUSED_AFTER = 3600.0


class PayloadError(MachineError):
    """The payload cannot be built; the message gives the reason."""


@dataclass(frozen=True)
class Python:
    """Python of a root file system, which can differ from the Python of the host."""

    root: Path

    def version(self) -> str:
        """Return the version that this Python reports."""
        return self._run("-c", "import sys; print(sys.version)")

    def environment(self, path: Path) -> Path:
        """Create an environment at `path`, and return its directory for libraries."""
        minor = self._run("-c", "import sys; print('python%d.%d' % sys.version_info[:2])").strip()
        libraries = path / "lib" / minor / "site-packages"
        libraries.mkdir(parents=True)
        (path / "bin").mkdir()
        (path / "bin" / "python").symlink_to(PYTHON)
        (path / "pyvenv.cfg").write_text(
            f"home = {PYTHON.parent}\ninclude-system-site-packages = false\n"
        )
        return libraries

    def install(self, libraries: Path, *requirements: str | Path) -> None:
        """Install `requirements` into `libraries`, for the version of this Python.

        Only the version is used, because this Python cannot always run outside its root.
        """
        minor = libraries.parent.name.removeprefix("python")
        _run(UV, "pip", "install", "--python-version", minor, "--target", libraries, *requirements)
        # Every user can write to this lock file, and a machine under test does not need it.
        (libraries / ".lock").unlink(missing_ok=True)

    def compile(self, tree: Path) -> None:
        """Compile everything below `tree`.

        Machines under test cannot write there, and would compile again at each run.
        """
        if self.root == Path("/"):
            self._run("-m", "compileall", "-q", "-j0", str(tree))
            return
        there = self.root / "mnt"
        script = 'mount --bind "$1" "$2" && shift 2 && exec "$@"'
        compiled = ("chroot", self.root, PYTHON, "-I", "-m", "compileall", "-q", "/mnt")
        _run(
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
            tree,
            there,
            *compiled,
        )

    def _run(self, *arguments: str) -> str:
        inside = () if self.root == Path("/") else ("chroot", self.root)
        return _run(*inside, PYTHON, "-I", *arguments)


def build(root: Path = Path("/")) -> Path:
    """Return the payload directory for machines like `root`, built again if a source changed."""
    _require()
    CACHE.mkdir(parents=True, exist_ok=True)
    python = Python(root)
    with _one_at_a_time():
        base = _digest([_LOCK, _PROJECT, Path(__file__)], python.version())
        libraries = _layer(f"libraries-{base}", lambda tree: _install_libraries(tree, python))
        whole = _digest([*_PROJECT_FILES, _STANDIN], base)
        payload = _layer(f"payload-{whole}", lambda tree: _install_project(tree, libraries, python))
        _sweep(keep=(libraries, payload))
    return payload


def tar(payload: Path, stream: IO[bytes]) -> None:
    """Write `payload` to `stream` as a tar archive with owner root, to be unpacked at `/`."""
    with tarfile.open(fileobj=stream, mode="w|") as archive:
        for part in (
            "opt/k3s-rootless",
            "opt/k3s-standin",
            *(f"usr/local/bin/{name}" for name in LAUNCHERS),
        ):
            archive.add(payload / part, arcname=part, filter=_owned_by_root)


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def _require() -> None:
    for path, hint in (
        (UV, "run tests/setup"),
        (PYTHON, "install python3"),
        (_STANDIN, "the stand-in's sources"),
    ):
        if not path.exists():
            raise PayloadError(f"{path} does not exist ({hint})")


def _install_libraries(tree: Path, python: Python) -> None:
    for name, requirements in (
        ("k3s-rootless", ("-r", str(_PROJECT))),
        ("k3s-standin", ("--group", f"{_PROJECT}:standin")),
    ):
        libraries = python.environment(tree / "opt" / name)
        # Constraints with hashes: install only packages and files that the lock file lists.
        python.install(libraries, "-c", _LOCK, *requirements)
    python.compile(tree / "opt")


def _install_project(tree: Path, libraries: Path, python: Python) -> None:
    shutil.copytree(libraries, tree, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
    (ours,) = (tree / "opt" / "k3s-rootless" / "lib").glob("python3.*/site-packages")
    with tempfile.TemporaryDirectory() as place:
        _run(UV, "build", "--wheel", "--out-dir", place, ROOT)
        (wheel,) = Path(place).glob("*.whl")
        python.install(ours, "--no-deps", wheel)
    python.compile(ours / "k3s_rootless")
    (standin,) = (tree / "opt" / "k3s-standin" / "lib").glob("python3.*/site-packages")
    shutil.copytree(_STANDIN, standin / _STANDIN.name, ignore=shutil.ignore_patterns("__pycache__"))
    python.compile(standin / _STANDIN.name)
    programs = tree / "usr" / "local" / "bin"
    programs.mkdir(parents=True)
    for name, text in LAUNCHERS.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)


def _layer(name: str, install: Callable[[Path], None]) -> Path:
    place = CACHE / name
    if not place.is_dir():
        unfinished = CACHE / f"{name}.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o755)
        install(unfinished)
        unfinished.rename(place)
    os.utime(place)
    return place


def _sweep(keep: Sequence[Path]) -> None:
    old = time.time() - _UNUSED_AFTER
    stale = [
        path
        for path in CACHE.iterdir()
        if path not in keep and path.is_dir() and path.stat().st_mtime < old
    ]
    for path in stale:
        if not mounted(path):
            shutil.rmtree(path)


def mounted(path: Path) -> bool:
    """Return whether any process has a mount of `path` or of something below it."""
    # A machine that keeps running uses its payload from its own mount namespace.
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            if f"/{path.name}/" in table.read_text():
                return True
        except OSError:
            continue  # the process ended meanwhile, or belongs to another user
    return False


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(sources: Sequence[Path], seed: str) -> str:
    digest = hashlib.sha256(seed.encode())
    for path in sorted(file for source in sources for file in _files(source)):
        digest.update(f"{path.relative_to(ROOT)}\0{path.stat().st_mode:o}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _files(source: Path) -> Iterator[Path]:
    if source.is_file():
        yield source
    for path in source.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def _run(*command: str | Path) -> str:
    # All users must be able to read the result, with any umask of the caller.
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, umask=0o022, check=False
    )
    if done.returncode != 0:
        raise PayloadError(
            f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stderr.strip()}"
        )
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{build()}\n")
