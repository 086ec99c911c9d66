"""The hidden names beside a path for its new, its earlier and its undone content."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from k3s_rootless import atomic
from k3s_rootless.backup import copies
from k3s_rootless.errors import RootlessError

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.backup.facts import Replaced
    from k3s_rootless.backup.volumes.in_namespace import InNamespace

NEW = "restored"
OLD = "replaced"
UNDONE = "undone"


def of(path: Path, kind: str) -> Path:
    """Return the hidden name beside a path; `kind` is NEW, OLD or UNDONE."""
    return path.with_name(f".{path.name}.k3s-rootless-{kind}")


def clear(one: Replaced, kind: str, within: InNamespace | None) -> None:
    """Remove the content with a hidden name; `within` removes volumes.

    Raises OSError, RootlessError.
    """
    path = of(one.path, kind)
    if one.volumes and within is not None:
        within.remove(path)
    else:
        copies.remove(path)


@contextmanager
def reported(action: str) -> Iterator[None]:
    """Raise RootlessError for an OSError, with the action that failed."""
    try:
        yield
    except OSError as error:
        raise RootlessError(
            f"cannot {action}: {error.filename or ''}: {atomic.reason(error)}",
            hint="see how much space is left, and look at the directory with ls -l",
        ) from error
