"""Begin the session of a command. This module loads little, because each command imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session


def begin(document: str, *, as_json: bool) -> Session:
    """Return the session of a command; `document` is the name of its JSON document.

    Raises RootlessError for a user without an entry in the user database.
    """
    from k3s_rootless.cli.session import Session

    return Session.begin(document if as_json else None)
