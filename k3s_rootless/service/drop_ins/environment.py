"""Our drop-in for environment variables.

This module renders and reads it, and detects values that no drop-in can contain.
"""

from __future__ import annotations

from collections.abc import Mapping

from k3s_rootless.service.drop_ins import drop_in
from k3s_rootless.service.environment import assignments
from k3s_rootless.service.environment.variables import LONGEST
from k3s_rootless.unit_file import quoted, unreadable

SUBJECT = "environment"
MODE = 0o600
"""The address of a proxy may contain a password."""
_ABOUT = (
    "Environment of K3s. Written by k3s-rootless; change it with `k3s-rootless env set`, or in a"
    " drop-in of your own."
)


def render(values: Mapping[str, str]) -> str | None:
    """Return the whole text of the drop-in; None if there are no variables to assign."""
    if not values:
        return None
    lines = [f"Environment={quoted(f'{name}={value}')}" for name, value in sorted(values.items())]
    return drop_in.render(_ABOUT, ["[Service]", *lines])


def read(text: str | None) -> dict[str, str]:
    """Return the assignments of a drop-in.

    Values that only the user manager can resolve (`%h`) are left out; k3s-rootless writes none.
    """
    return {
        name: value
        for name, value in assignments.of_drop_in(text or "").items()
        if value is not None
    }


def refusal(name: str, value: str) -> str | None:
    """Return why systemd cannot pass this value to a process; None if it can."""
    if "\0" in value:
        return "an environment variable cannot contain a NUL"
    for char in value:
        if 0xD800 <= ord(char) <= 0xDFFF:
            return "it is not valid UTF-8, so systemd would ignore it"
        if unreadable(char):
            return (
                f"systemd ignores a line with the noncharacter U+{ord(char):04X}, and all text"
                " after it"
            )
    if len(f"{name}={value}".encode()) > LONGEST:
        return f"Linux cannot start a program with a variable of more than {LONGEST} bytes"
    return None
