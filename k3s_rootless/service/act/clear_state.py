"""Removal of the files that a killed K3s left in its state directory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError
from k3s_rootless.rootlesskit import state


def clear_state(paths: Sequence[Path]) -> None:
    """Remove the files that a killed K3s left in the state directory of its rootlesskit.

    No rootlesskit can start in this directory meanwhile. Raises RootlessError if a rootlesskit uses
    the directory.
    """
    for directory in dict.fromkeys(path.parent for path in paths):
        try:
            with state.held(directory, create=True):
                for path in paths:
                    if path.parent == directory and not state.answers(path):
                        path.unlink(missing_ok=True)
        except OSError as error:
            raise RootlessError(f"cannot clean up `{directory}`: {atomic.reason(error)}") from error
