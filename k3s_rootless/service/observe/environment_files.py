"""Reads the files that variables come from besides the unit's own: environment files, and
environment.d of the user manager.
"""

from __future__ import annotations

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


def named(patterns: Iterable[tuple[str, bool]]) -> tuple[FoundFile, ...]:
    """Read what `EnvironmentFile=` names, in order; `patterns` are paths, each with whether it may
    be missing.

    A file that is missing, or that cannot be read, is there with its `problem`; one that may be is
    left out.
    """
    # Here and below, since most units name no such file.
    import glob

    found = []
    for pattern, optional in patterns:
        # systemd expands patterns as well (systemd.exec(5)).
        matched = [pattern]
        if glob.has_magic(pattern):
            matched = sorted(glob.glob(pattern))  # noqa: PTH207 (an absolute pattern)
        for path in map(Path, matched):
            one = files.or_problem(path)
            missing = one.text is None and not one.problem
            if missing and not optional:
                found.append(
                    FoundFile(
                        path,
                        None,
                        problem=f"`{path}` is missing, and the unit does not start without it",
                    )
                )
            elif not missing and not (optional and one.problem):
                found.append(one)
        if not matched and not optional:
            found.append(
                FoundFile(
                    Path(pattern),
                    None,
                    problem=f"`{pattern}` is missing, and the unit does not start without it",
                )
            )
    return tuple(found)


def environment_d(configuration: Path, root: Path = Path("/")) -> tuple[FoundFile, ...]:
    """Read environment.d in the order in which the manager does: by name, of two of one name the
    user's (environment.d(5)).
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
    """Give what environment.d amounts to, by systemd's own program for it: it expands variables by
    rules of its own.
    """
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
