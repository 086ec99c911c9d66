"""The AppArmor profile that lets one program make user namespaces, and confines it in nothing
else.
"""

from __future__ import annotations

import re
from hashlib import sha256

_PLAIN = re.compile(r"/[A-Za-z0-9_/-]{1,150}")
"""Paths of which no two get the same name when each slash becomes a dot."""
_SPECIAL = '"\\*?[]{}^@'
"""Wildcards of AppArmor (apparmor.d(5), "Globbing"), variables and the quote: taken by their letter
behind a backslash.
"""


def unconfined(program: str) -> tuple[str, tuple[str, ...]]:
    """Return the profile's file and its lines, for a program by its real path, which must be
    printable.

    The profile is named after the program, as Ubuntu names its own. No two programs share a name,
    so users of one host do not overwrite each other's profiles.
    """
    name = _name(program)
    attached = "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in program)
    return f"/etc/apparmor.d/{name}", (
        "abi <abi/4.0>,",
        "include <tunables/global>",
        f'profile {name} "{attached}" flags=(unconfined) {{',
        "  userns,",
        f"  include if exists <local/{name}>",
        "}",
    )


def _name(program: str) -> str:
    """Return a name that is this program's alone, at most 200 bytes long; a file name has 255 at
    most.
    """
    if _PLAIN.fullmatch(program):
        return f"k3s-rootless.{program[1:].replace('/', '.')}"
    readable = re.sub(r"[^A-Za-z0-9_-]", ".", program)[-100:]
    digest = sha256(program.encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return f"k3s-rootless-{digest}{readable}"
