"""A small JSON file that says what a command is doing, or how it ended.

The next command obeys it, also where it names files to remove. It is therefore read only if no
other user could have written it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from k3s_rootless import atomic, user_file
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import parsing, typed

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 2**20
_HINT = "only you may be able to write to this file and to the directories above it: see ls -l"


def load(path: Path) -> dict[str, Any] | None:
    """Return the content; None if the file does not exist.

    Raises PreflightFailed if another user owns or could change the file, RootlessError.
    """
    if not os.path.lexists(path):
        return None
    found = user_file.read(path, os.getuid(), largest=_LARGEST, action="use", hint=_HINT)
    if found.mode is None:
        return None  # it was removed meanwhile
    with parsing(f"`{path}`"):
        content: dict[str, Any] = typed(json.loads(found.content), dict)
    return content


def save(path: Path, content: dict[str, Any]) -> None:
    """Write the content, readable by the user only. Raises OSError."""
    atomic.make_directory(path.parent)
    atomic.sweep(path.parent, path.name.replace(".", r"\."))
    atomic.write(path, json.dumps(content, indent=1).encode("ascii"), 0o600)


def write(path: Path, content: dict[str, Any]) -> None:
    """Write the content as `save` does. Raises RootlessError."""
    try:
        save(path, content)
    except OSError as error:
        raise RootlessError(f"cannot write `{path}`: {atomic.reason(error)}") from error


def remove(path: Path) -> None:
    """Remove the file, if it exists. Raises RootlessError."""
    try:
        atomic.remove(path)
    except OSError as error:
        raise RootlessError(f"cannot remove `{path}`: {atomic.reason(error)}") from error
