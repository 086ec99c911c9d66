"""What the last start died of, by the judge of `diagnose`, without the look at the host that takes it seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from k3s_rootless.cli.session import Session
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.service.facts import UnitState


def of(session: Session, state: UnitState) -> Cause | None:
    """Name the cause; None where neither systemd nor the journal does. Raises RootlessError where that cannot be read."""
    from k3s_rootless.cli import ending, follow
    from k3s_rootless.journal import verdict

    end = ending.of(state)
    return verdict.of_unit(end) or verdict.of_story(follow.story(session, state, None, ready=False), end)
