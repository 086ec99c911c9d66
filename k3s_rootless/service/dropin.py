"""Drop-ins of our own: what they are called, and their text.

They lie in `k3s-rootless.service.d/` beside the unit, under names of ours, so that `override.conf`, which
`systemctl --user edit` writes, stays the user's. It comes after ours (systemd sorts by name, systemd.unit(5)): where both set
something, the user's counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from k3s_rootless.service.authorship import sealed

_NAME = re.compile(r"\d\d-k3s-rootless-[a-z]+\.conf")
DIRECTORY_SUFFIX = ".d"


def name(subject: str, number: int = 50) -> str:
    """Give the file name of our drop-in about a subject; `number` says what comes after what."""
    return f"{number:02}-k3s-rootless-{subject}.conf"


def is_ours(file_name: str) -> bool:
    """Tell whether a file of this name is a drop-in of ours, as far as a name can tell."""
    return _NAME.fullmatch(file_name) is not None


def render(about: str, lines: Iterable[str]) -> str:
    """Give a drop-in's whole text, mark and all.

    `about` says in one line what it is and which command changes it; `lines` are whole lines, values already quoted.
    """
    body = "\n".join((f"# {about}", "", *lines, ""))
    return sealed(body)
