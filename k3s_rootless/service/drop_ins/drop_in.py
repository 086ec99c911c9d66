"""The drop-ins of k3s-rootless: their names, their text, and whether they require a restart.

They are in `k3s-rootless.service.d/` beside the unit, with names of their own. `override.conf`,
which `systemctl --user edit` writes, therefore belongs to the user. It is read after ours (systemd
sorts by name, systemd.unit(5)): if both set a value, the value of the user counts.
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
    """Return the file name of our drop-in about a subject.

    `number` determines the order of the drop-ins.
    """
    return f"{number:02}-k3s-rootless-{subject}.conf"


def is_ours(file_name: str) -> bool:
    """Return whether a file name is that of a drop-in of ours; its content is not read."""
    return OUR_DROP_IN.fullmatch(file_name) is not None


def render(about: str, lines: Iterable[str]) -> str:
    """Return the whole text of a drop-in, with its seal.

    `about` is one line that describes the drop-in and names the command that changes it. `lines`
    are whole lines, with their values already quoted.
    """
    body = "\n".join((f"# {about}", "", *lines, ""))
    return sealed(body)


def restart_pending(state: UnitState, changed: datetime | None) -> str | None:
    """Return why a running K3s needs a restart; None if it needs none.

    `changed` is the time when its unit or a drop-in last changed.
    """
    if state.running and state.started and changed and state.started + _CLOCK_GRAIN < changed:
        return "the unit or a drop-in changed after K3s was started"
    return None
