"""A small JSON file that says what a command is doing, or how it ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import parsing, typed

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 2**20


def load(path: Path) -> dict[str, Any] | None:
    """Return the content; None if the file does not exist. Raises RootlessError."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RootlessError(f"cannot read `{path}`: {atomic.reason(error)}") from error
    with parsing(f"`{path}`"):
        content: dict[str, Any] = typed(json.loads(data), dict)
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
