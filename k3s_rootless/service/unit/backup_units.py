"""The text of the service and the timer of scheduled backups, and the schedule in such texts."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from k3s_rootless import unit_file
from k3s_rootless.errors import UsageError
from k3s_rootless.paths import BACKUP_TIMER
from k3s_rootless.service.unit.seal import sealed
from k3s_rootless.templates import loader
from k3s_rootless.unit_file import quoted, unreadable

if TYPE_CHECKING:
    from k3s_rootless.service.facts import BackupSettings

NAME = "k3s-rootless-backup"
SERVICE = f"{NAME}.service"
TIMER = BACKUP_TIMER
WANTS = "timers.target.wants"
"""The directory with the link that enables the timer."""
PARTS = ("--volumes", "--images")
"""The options of `backup create` that add parts to a backup."""
_NO_PROGRAM = re.compile(r"[\x00-\x1f\x7f\"'\\$]")


def service(settings: BackupSettings) -> str:
    """Return the whole text of the service, with its seal.

    Raises UsageError for a program that cannot be written in a unit.
    """
    # Imported here: jinja2 takes 37 ms to load, and `status` only reads these files.
    from k3s_rootless.templates import rendering

    environment = ""
    if settings.data_home:
        environment = quoted(f"XDG_DATA_HOME={settings.data_home}")
    return sealed(
        rendering.text(
            loader.read("units", f"{SERVICE}.j2"),
            program=" ".join(map(_word, settings.program)),
            keep=settings.keep,
            parts="".join(f" {one}" for one in settings.parts),
            environment=environment,
        )
    )


def timer(settings: BackupSettings) -> str:
    """Return the whole text of the timer, with its seal."""
    # Imported here for the same reason as above.
    from k3s_rootless.templates import rendering

    return sealed(rendering.text(loader.read("units", f"{TIMER}.j2"), every=settings.every))


def every_of(text: str) -> str | None:
    """Return when a timer elapses, as its file has it; None if it never does."""
    # An empty assignment removes the earlier ones (systemd.timer(5)).
    found = ""
    for value in unit_file.values(text, "OnCalendar", "Timer"):
        found = value
    return found or None


def keep_of(text: str) -> int | None:
    """Return how many scheduled backups a service keeps; None if its command does not say."""
    for value in unit_file.values(text, "ExecStart"):
        for option, number in pairwise(_words(value)):
            if option == "--keep" and number.isdecimal():
                return int(number)
    return None


def parts_of(text: str) -> tuple[str, ...]:
    """Return the options in the command of a service that add parts to a backup."""
    words = [word for value in unit_file.values(text, "ExecStart") for word in _words(value)]
    return tuple(one for one in PARTS if one in words)


def _words(value: str) -> list[str]:
    return unit_file.words(value) or []


def _word(word: str) -> str:
    if _NO_PROGRAM.search(word) or any(map(unreadable, word)):
        raise UsageError(
            f"cannot schedule backups with {word!a}: a unit cannot start a program with quotes,"
            " backslashes, `$` or unprintable characters in its path",
            hint="install k3s-rootless in a path without these characters",
        )
    return quoted(word)
