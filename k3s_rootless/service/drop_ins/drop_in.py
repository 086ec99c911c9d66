"""Drop-ins of ours: their names, their text, and whether the running K3s was started with them.

They lie in `k3s-rootless.service.d/` beside the unit, under names of ours, so that `override.conf`,
which `systemctl --user edit` writes, stays the user's. It comes after ours (systemd sorts by name,
systemd.unit(5)): where both set something, the user's counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from k3s_rootless.paths import OUR_DROP_IN
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.unit.seal import sealed

DIRECTORY_SUFFIX = ".d"
_CLOCK_GRAIN = timedelta(seconds=1)


def name(subject: str, number: int = 50) -> str:
    """Return the file name of our drop-in about a subject; `number` says what comes after what."""
    return f"{number:02}-k3s-rootless-{subject}.conf"


def is_ours(file_name: str) -> bool:
    """Return whether a file of this name is a drop-in of ours, going by the name alone."""
    return OUR_DROP_IN.fullmatch(file_name) is not None


def render(about: str, lines: Iterable[str]) -> str:
    """Return a drop-in's whole text, with its mark.

    `about` says in one line what it is and which command changes it; `lines` are whole lines,
    values already quoted.
    """
    body = "\n".join((f"# {about}", "", *lines, ""))
    return sealed(body)


def restart_owed(state: UnitState, changed: datetime | None) -> str | None:
    """Return why a running K3s needs a restart: its unit or a drop-in was `changed` since; None if
    it needs none.
    """
    if state.running and state.started and changed and state.started + _CLOCK_GRAIN < changed:
        return "its unit or a drop-in changed after K3s was started"
    return None
