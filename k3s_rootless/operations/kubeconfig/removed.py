"""The result of a removal of our entries from kubeconfigs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from k3s_rootless.errors import RootlessError, WouldOverwrite


@dataclass(frozen=True, slots=True)
class RemovedFrom:
    """One file: the contexts that were removed, and the new current context if it changed.

    `referring` are contexts of the user that used our cluster or user.
    """

    file: Path
    contexts: tuple[str, ...]
    current: str | None
    referring: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Removed:
    """The result: the files that changed, and the entries that were kept because of an edit.

    `problems` are the files that could not be changed, each with the reason.
    """

    files: tuple[RemovedFrom, ...] = ()
    kept: tuple[tuple[Path, str], ...] = ()
    problems: tuple[RootlessError, ...] = ()
    dry_run: bool = False

    @property
    def code(self) -> int:
        """The exit code."""
        if self.problems:
            return self.problems[0].exit_code
        if self.kept:
            return WouldOverwrite.exit_code
        return 0
