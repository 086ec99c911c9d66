"""Remedies that write a drop-in of the unit with one line."""

from __future__ import annotations

from shlex import quote

from k3s_rootless.finding import FixableBy, Remedy

_DIRECTORY = "~/.config/systemd/user/k3s-rootless.service.d"


def written(text: str, file: str, line: str) -> Remedy:
    """Return the remedy that writes a drop-in.

    Of two drop-ins, systemd reads the one with the later name last.
    """
    write = f"printf '%s\\n' '[Service]' {quote(line)} > {_DIRECTORY}/{file}"
    return Remedy(FixableBy.USER, text, (f"mkdir -p {_DIRECTORY}", write, "k3s-rootless up"))


def variable(text: str, name: str, line: str) -> Remedy:
    """Return the remedy that writes a drop-in for one environment variable."""
    return written(text, f"60-{name.lower().replace('_', '-')}.conf", line)
