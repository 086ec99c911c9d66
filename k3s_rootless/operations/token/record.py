"""The record of a rotation that is not finished, and the tokens that were replaced.

Both are secrets: only the user can read the files.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from k3s_rootless.backup import record_file
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import each, moment, parsing, typed
from k3s_rootless.json_fields import field as member
from k3s_rootless.k3s.token import password as token_of

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.paths import Paths

_ROTATION = "k3s-rootless/token-rotation/v1"
_EARLIER = "k3s-rootless/earlier-tokens/v1"


@dataclass(frozen=True, slots=True)
class Rotation:
    """A rotation that has begun: the passwords of the old and of the new token."""

    old: str = field(repr=False)
    new: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A token that was replaced at a time. `kind` is `server` or `agent`."""

    kind: str
    token: str = field(repr=False)
    replaced: datetime


def load(path: Path) -> Rotation | None:
    """Return the rotation that is not finished, or None. Raises RootlessError."""
    content = record_file.load(path)
    if content is None:
        return None
    with parsing(f"`{path}`"):
        return Rotation(member(content, "old", str), member(content, "new", str))


def begin(path: Path, rotation: Rotation) -> None:
    """Write the record before anything is changed. Raises RootlessError."""
    content = {"schema": _ROTATION, "old": rotation.old, "new": rotation.new}
    record_file.write(path, content)


def end(path: Path) -> None:
    """Remove the record. Raises RootlessError."""
    record_file.remove(path)


def earlier(path: Path) -> tuple[Earlier, ...]:
    """Return the tokens that were replaced, the oldest first. Raises RootlessError."""
    content = record_file.load(path)
    if content is None:
        return ()
    with parsing(f"`{path}`"):
        return each(content, "tokens", _earlier)


def secrets(paths: Paths) -> set[str]:
    """Return all tokens and passwords in these files; a file that cannot be read has none."""
    found: set[str] = set()
    with suppress(RootlessError):
        for one in earlier(paths.earlier_tokens):
            found.update((one.token, token_of(one.token) or one.token))
    with suppress(RootlessError):
        rotation = load(paths.token_rotation)
        if rotation is not None:
            found.update((rotation.old, rotation.new))
    return found


def keep(path: Path, kind: str, token: str) -> None:
    """Add a token that is being replaced; one that is already there is not added again.

    Raises RootlessError.
    """
    found = earlier(path)
    if any(one.token == token and one.kind == kind for one in found):
        return
    added = (*found, Earlier(kind, token, datetime.now(UTC)))
    rows = [
        {"kind": one.kind, "token": one.token, "replaced": one.replaced.isoformat()}
        for one in added
    ]
    record_file.write(path, {"schema": _EARLIER, "tokens": rows})


def forget(paths: Paths) -> None:
    """Remove all tokens and records, together with the data of K3s. Raises RootlessError."""
    for path in (paths.token_rotation, paths.earlier_tokens):
        if path.exists():
            end(path)


def _earlier(value: Any) -> Earlier:  # noqa: ANN401 (untyped JSON)
    content = typed(value, dict)
    kind = member(content, "kind", str)
    return Earlier(kind, member(content, "token", str), moment(content, "replaced"))
