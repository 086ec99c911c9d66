"""Find the secrets that a unit and its drop-ins declare, so that they can be redacted."""

from __future__ import annotations

from collections.abc import Iterable

from k3s_rootless import unit_file
from k3s_rootless.service.environment import assignments
from k3s_rootless.support.redaction import known_secrets


def declared(texts: Iterable[str]) -> set[str]:
    """Return the secrets in the texts of a unit and its drop-ins.

    Each secret is returned as it is written in the file, and as systemd parses it.
    """
    found: set[str] = set()
    for text in texts:
        found.update(known_secrets.from_text(text))
        for line in assignments.of_unit(text):
            values = {name: value for name, value in (line or {}).items() if value is not None}
            found.update(known_secrets.from_environment(values))
        for command_line in unit_file.values(text, "ExecStart"):
            found.update(known_secrets.from_argv(unit_file.words(command_line) or ()))
    return found
