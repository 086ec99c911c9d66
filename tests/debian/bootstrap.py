"""Installation of a Debian release into a directory, with mmdebstrap."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.debian import apt
from tests.debian.releases import Release
from tests.machine import MachineError

SEARCH_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Search path for tools of the host: some are in directories that only root has on PATH."""
_NOT_UNPACKED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/i18n/*")
_TIME_LIMIT = 20 * 60


def bootstrap(
    release: Release, packages: Sequence[str], tree: Path, hooks: Sequence[str] = ()
) -> None:
    """Install `packages` of `release` into the new directory `tree`.

    `hooks` are options of mmdebstrap.
    """
    if os.geteuid() != 0:
        raise MachineError(f"only root can build a machine of {release.name}")
    with tempfile.TemporaryDirectory() as place:
        sources, preferences = Path(place, "sources"), Path(place, "preferences")
        sources.write_text(release.sources())
        preferences.write_text(release.preferences())
        options = [
            f"--aptopt={option}" for option in (*apt.options(), 'Acquire::Languages "none";')
        ]
        options += [f"--dpkgopt=path-exclude={pattern}" for pattern in _NOT_UNPACKED]
        # An unfinished tree is discarded, so data need not reach the disk before the end.
        options.append("--dpkgopt=force-unsafe-io")
        if release.borrowed:
            options.append(
                f"--setup-hook=install -D -m 644 {shlex.quote(str(preferences))}"
                ' "$1/etc/apt/preferences.d/borrowed"'
            )
        options += [*hooks, f"--include={','.join(packages)}"]
        run(
            "mmdebstrap",
            "--quiet",
            "--mode=root",
            "--variant=essential",
            *options,
            release.base,
            str(tree),
            str(sources),
        )


def run(*command: str) -> str:
    """Run one command of the build and return its output; raise with the end of its messages."""
    # `timeout` kills the whole process group, and gets a signal when the driver exits.
    bounded = (
        "setpriv",
        "--pdeathsig",
        "TERM",
        "timeout",
        "--kill-after=10",
        str(_TIME_LIMIT),
        *command,
    )
    environment = {**os.environ, "PATH": SEARCH_PATH}
    done = subprocess.run(
        bounded, check=False, capture_output=True, text=True, errors="replace", env=environment
    )
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise MachineError(f"{command[0]} failed with exit {done.returncode}:\n{tail}")
    return done.stdout
