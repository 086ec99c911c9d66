"""The AppArmor profile that allows one program to create user namespaces.

It does not confine the program in any other way.
"""

from __future__ import annotations

import re
from hashlib import sha256

_PLAIN = re.compile(r"/[A-Za-z0-9_/-]{1,150}")
"""Paths that keep different names when each slash becomes a dot."""
_SPECIAL = '"\\*?[]{}^@'
"""Characters that AppArmor reads literally only after a backslash.

They are wildcards (apparmor.d(5), "Globbing"), variables and the quote.
"""


def unconfined(program: str) -> tuple[str, tuple[str, ...]]:
    """Return the file and the lines of a program's profile.

    `program` is the real path of the program, and must be printable. The profile is named after the
    program, as Ubuntu names its own profiles. No two programs share a name, so users of one host do
    not overwrite each other's profiles.
    """
    return _profile(_name(program), _escaped(program))


def unconfined_releases(directory: str) -> tuple[str, tuple[str, ...]]:
    """Return the file and the lines of one profile for the k3s of each release in a directory.

    `directory` is a real path, and must be printable.
    """
    return _profile(_name(directory), f"{_escaped(directory)}/*/k3s")


def _escaped(path: str) -> str:
    return "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in path)


def _profile(name: str, attached: str) -> tuple[str, tuple[str, ...]]:
    return f"/etc/apparmor.d/{name}", (
        "abi <abi/4.0>,",
        "include <tunables/global>",
        f'profile {name} "{attached}" flags=(unconfined) {{',
        "  userns,",
        f"  include if exists <local/{name}>",
        "}",
    )


def _name(program: str) -> str:
    """Return a name that only this program has, with at most 200 bytes.

    A file name has at most 255 bytes.
    """
    if _PLAIN.fullmatch(program):
        return f"k3s-rootless.{program[1:].replace('/', '.')}"
    readable = re.sub(r"[^A-Za-z0-9_-]", ".", program)[-100:]
    digest = sha256(program.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return f"k3s-rootless-{digest}{readable}"
