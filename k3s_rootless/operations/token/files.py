"""Read the token files that K3s writes to its data directory at each start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.cluster import own_file
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout, token

if TYPE_CHECKING:
    from pathlib import Path

_LARGEST = 64 * 1024
_HINT = "K3s writes it at its start: k3s-rootless up"


def server(data: Path, uid: int) -> str:
    """Return the token of the server. Raises RootlessError."""
    return _read(data / layout.SERVER_TOKEN, uid, "the token of the server")


def agent(data: Path, uid: int) -> str | None:
    """Return the token for agents; None if agents use the token of the server.

    Then the file is a link (K3s pkg/server, printTokens). Raises RootlessError.
    """
    path = data / layout.AGENT_TOKEN
    if path.is_symlink() or not path.exists():
        return None
    return _read(path, uid, "the token for agents")


def password(text: str, path: Path) -> str:
    """Return the password of a token that K3s wrote to a file. Raises RootlessError."""
    found = token.password(text)
    if found is None:
        raise RootlessError(f"cannot use the token in `{path}`: it is not a token of a server")
    return found


def _read(path: Path, uid: int, what: str) -> str:
    content, _ = own_file.read(path, uid, what=what, largest=_LARGEST, missing=_HINT, damaged=_HINT)
    return content.decode("utf-8", "surrogateescape").strip()
