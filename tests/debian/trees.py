"""Root file systems of Debian releases for labs.

Each is built once and kept in the cache.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import payload
from tests.debian import apt, bootstrap, releases
from tests.debian.releases import Release

CACHE = payload.ROOT / ".cache" / "releases"
_PACKAGES = (
    *releases.SYSTEM,
    *releases.FOR_K3S,
    *releases.FOR_TESTS,
    "util-linux",
    "login",
    "passwd",
)


def tree(name: str) -> Path:
    """Return the root file system of the release `name`.

    This is that of the host if it runs this release, else a tree that is built for it.
    """
    release = releases.find(name)
    if name == apt.own_release():
        return Path("/")
    CACHE.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(name):
        place = CACHE / f"{name}-{_digest(release)}"
        if not place.is_dir():
            _clear(name)
            _make(release, place)
    return place / "root"


def _make(release: Release, place: Path) -> None:
    started = time.monotonic()
    sys.stderr.write(f"building a tree of Debian {release.name} in {CACHE} (once; half a minute)\n")
    unfinished = place.with_name(f"{place.name}.unfinished")
    unfinished.mkdir()
    bootstrap.bootstrap(release, _PACKAGES, unfinished / "root")
    (unfinished / "packages").write_text(_installed(unfinished / "root"))
    unfinished.rename(place)
    sys.stderr.write(
        f"built a tree of Debian {release.name} in {time.monotonic() - started:.0f} s\n"
    )


def _installed(root: Path) -> str:
    listed = ("dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show")
    return subprocess.run(listed, check=True, capture_output=True, text=True).stdout


def _clear(name: str) -> None:
    # Unfinished trees, and trees of another recipe that no lab uses any more.
    for path in CACHE.glob(f"{name}-*"):
        if not payload.mounted(path):
            shutil.rmtree(path)


def _digest(release: Release) -> str:
    digest = hashlib.sha256(repr((release, _PACKAGES)).encode())
    digest.update(Path(bootstrap.__file__).read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _one_at_a_time(name: str) -> Iterator[None]:
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
