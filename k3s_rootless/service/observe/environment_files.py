"""Reader of the files from which variables come, besides the unit and its drop-ins.

These are the environment files of the unit, and environment.d of the user manager.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.service.facts import FoundFile
from k3s_rootless.service.observe import files

_GENERATOR = "usr/lib/systemd/user-environment-generators/30-systemd-environment-d-generator"
_SYSTEM = (
    "etc/environment.d",
    "run/environment.d",
    "usr/local/lib/environment.d",
    "usr/lib/environment.d",
)
_SECONDS = 5.0
_MAGIC = re.compile(r"[*?[]")


def named(patterns: Iterable[tuple[str, bool]]) -> tuple[FoundFile, ...]:
    """Read the files that `EnvironmentFile=` names, in order.

    `patterns` are path patterns; each has a flag that is true if the file is optional. A file that
    is missing, or that cannot be read, is returned with its `problem`. An optional file without
    text is left out.
    """
    found = []
    for pattern, optional in patterns:
        read = [files.or_problem(path) for path in _matched(pattern)]
        if optional:
            found += [one for one in read if one.text is not None]
            continue
        found += [
            one if one.text is not None or one.problem else _missing(one.path) for one in read
        ]
        if not read:
            found.append(_missing(Path(pattern)))
    return tuple(found)


def _matched(pattern: str) -> list[Path]:
    """Return the paths that a pattern matches, as systemd expands it (systemd.exec(5))."""
    if not _MAGIC.search(pattern):
        return [Path(pattern)]
    # Imported here because few units contain a pattern.
    import glob

    return [Path(path) for path in sorted(glob.glob(pattern))]  # noqa: PTH207 (an absolute pattern)


def _missing(path: Path) -> FoundFile:
    problem = f"`{path}` does not exist, and the unit does not start without it"
    return FoundFile(path, None, problem=problem)


def environment_d(configuration: Path, root: Path = Path("/")) -> tuple[FoundFile, ...]:
    """Read environment.d in the order of the user manager: by file name.

    If two files have the same name, only the file of the user is read (environment.d(5)).
    """
    found: dict[str, Path] = {}
    for directory in (configuration / "environment.d", *(root / place for place in _SYSTEM)):
        try:
            names = sorted(path.name for path in directory.iterdir() if path.name.endswith(".conf"))
        except OSError:
            continue
        for name in names:
            found.setdefault(name, directory / name)
    return tuple(files.or_problem(path) for _, path in sorted(found.items()))


def generated(environ: Mapping[str, str], root: Path = Path("/")) -> Observed[Mapping[str, str]]:
    """Return the assignments of environment.d, as systemd's own generator expands them."""
    # Imported here because few environments set a variable of K3s there.
    from k3s_rootless import command

    program = root / _GENERATOR
    try:
        done = command.run([str(program)], timeout=_SECONDS, environ=environ)
    except RootlessError as error:
        return Unknown(error.message)
    if done.status != 0:
        return Unknown(f"{program} failed: {done.stderr.strip()[:300]}")
    pairs = (line.partition("=") for line in done.stdout.splitlines() if "=" in line)
    return Known({name: value for name, _, value in pairs}, str(program))
