"""The AppArmor profile that lets one program make user namespaces, and confines it in nothing else."""

from __future__ import annotations

_SPECIAL = '"\\*?[]{}^@'
"""Wildcards of AppArmor (apparmor.d(5), "Globbing"), variables and the quote: taken by their letter behind a backslash."""


def unconfined(program: str) -> tuple[str, tuple[str, ...]]:
    """Give the profile's file and its lines, for a program by its real path.

    The profile is named after the program, as Ubuntu names its own: users of one host do not write each other's.
    """
    name = "k3s-rootless." + "".join(letter if letter.isalnum() or letter in "-_" else "." for letter in program.strip("/"))
    attached = "".join(f"\\{letter}" if letter in _SPECIAL else letter for letter in program)
    return f"/etc/apparmor.d/{name}", (
        "abi <abi/4.0>,",
        "include <tunables/global>",
        f'profile {name} "{attached}" flags=(unconfined) {{',
        "  userns,",
        f"  include if exists <local/{name}>",
        "}",
    )
