"""The unit file of K3s as a user downloads it.

It is recognised by its directives, and adopted with the paths of this host. The documentation of
K3s ("Rootless Mode", docs/advanced.md) requires the file of exactly the installed release, with the
path of k3s in `ExecStart=` changed if k3s is elsewhere. All other directives must be those of K3s.
"""

from __future__ import annotations

import re
from itertools import zip_longest

from k3s_rootless import unit_file
from k3s_rootless.errors import UsageError
from k3s_rootless.service.facts import UnitSettings
from k3s_rootless.service.unit.seal import sealed
from k3s_rootless.service.unit.text import about, render, require_startable, written_for
from k3s_rootless.unit_file import quoted

_PROGRAM = re.compile(r'^ExecStart=(?:"[^"]*"|\S+)')
_SEARCH = re.compile(r'^Environment="?PATH=[^"]*"?$')


def directives(text: str) -> tuple[str, ...]:
    """Return the directives of a unit in order, without comments and without its two paths.

    The paths differ between hosts.
    """
    return tuple(map(_without_paths, unit_file.lines(text)))


def adopted(text: str, settings: UnitSettings, source: str) -> str:
    """Return a unit that the user supplied, sealed as ours, with the paths of this host.

    Its comments are kept. Raises UsageError if it is not the unit that K3s ships with that release.
    """
    for shipped, found in zip_longest(directives(render(settings)), directives(text)):
        if shipped != found:
            has = f"it has `{found}`" if found else "it ends"
            expected = f"where K3s ships `{shipped}`" if shipped else "where the unit of K3s ends"
            raise UsageError(
                f"cannot use {source}: it is not the unit of K3s {settings.version}: {has}"
                f" {expected}",
                hint="omit --from: the unit of each release is built in",
            )
    require_startable(settings.binary)
    lines = [
        _with_paths(line, settings) for line in text.replace("\r\n", "\n").rstrip("\n").split("\n")
    ]
    return sealed(
        "\n".join(
            (
                about(settings.version),
                "# The text below is the unit file of K3s, with the paths of this host.",
                *lines,
                "",
            )
        )
    )


def same(one: str, other: str) -> bool:
    """Return whether two units differ at most in comments.

    Both are then for the same release and contain the same paths.
    """
    return written_for(one) == written_for(other) and _meaning(one) == _meaning(other)


def _meaning(text: str) -> list[str]:
    return [line.replace('"', "") for line in unit_file.lines(text)]


def _without_paths(line: str) -> str:
    if _SEARCH.match(line):
        return "Environment=PATH=…"
    found = _PROGRAM.match(line)
    if found is None:
        return line
    return f"ExecStart=…{line[found.end() :]}"


def _with_paths(line: str, settings: UnitSettings) -> str:
    bare = line.strip()
    if _SEARCH.match(bare):
        return f"Environment={quoted(f'PATH={settings.search}')}"
    found = _PROGRAM.match(bare)
    if found is None:
        return line
    return f"ExecStart={quoted(settings.binary)}{bare[found.end() :]}"
