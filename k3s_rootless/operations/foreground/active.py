"""Refuse what cannot happen while `run` runs K3s in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.paths import FOREGROUND

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


def require_none(context: Context, action: str) -> None:
    """Raise RootlessError if K3s runs in the foreground; `action` is what cannot be done then."""
    if not context.paths.foreground.exists():
        return
    if context.unit(FOREGROUND).at_rest:
        return
    raise RootlessError(
        f"cannot {action}: K3s runs in a terminal (`k3s-rootless run`)",
        hint="stop it in that terminal with Ctrl-C, or from here with: k3s-rootless down",
    )
