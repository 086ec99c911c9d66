"""Where a lab lives on the host: a directory below /run, a cgroup, and the process that holds its
namespaces.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import cgroups
from tests.lab.errors import LabError

_PREFIX = "k3s-rootless-lab-"
_RUN = Path("/run")
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Site:
    """The place of the lab `label`; at most one lab lives at a site."""

    label: str

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise LabError(
                f"{self.label!r} is no name for a lab: small letters, digits and hyphens"
            )

    @property
    def state(self) -> Path:
        """The directory that the driver and the machine share."""
        return _RUN / f"{_PREFIX}{self.label}"

    @property
    def cgroup(self) -> Path:
        """The cgroup in which all processes of the machine are."""
        return cgroups.mount_point() / f"{_PREFIX}{self.label}"

    def claim(self) -> None:
        """Take the site, or fail because somebody lives there."""
        try:
            self.state.mkdir(mode=0o755)
        except FileExistsError:
            raise LabError(f"a lab named {self.label} is up already") from None
        (self.state / "scratch").mkdir()
        cgroups.create(self.cgroup.name)

    def settle(self, holder: int) -> None:
        """Record the process whose end is the end of the lab."""
        (self.state / "holder").write_text(_identity(holder) or "")

    def settled(self) -> bool:
        """Whether the recorded process is alive: the very one, not another with its number."""
        try:
            recorded = (self.state / "holder").read_text()
        except OSError:
            return False
        return bool(recorded) and _identity(int(recorded.split()[0])) == recorded

    def clear(self) -> None:
        """Kill all that lives here, and remove every trace."""
        cgroups.remove(self.cgroup)
        shutil.rmtree(self.state, ignore_errors=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep other drivers from claiming and sweeping sites; the lock is on /run itself, and so
    leaves no file.
    """
    place = os.open(_RUN, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def sweep() -> None:
    """Clear the sites whose labs have died with their driver; to be called inside
    `one_at_a_time`.
    """
    for site in sites():
        if not site.settled():
            site.clear()


def sites() -> list[Site]:
    """Return all sites with a trace of a lab, dead or alive."""
    found = {
        path.name for place in (_RUN, cgroups.mount_point()) for path in place.glob(f"{_PREFIX}*")
    }
    return [Site(name.removeprefix(_PREFIX)) for name in sorted(found)]


def _identity(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, *fields = stat.rpartition(")")[2].split()
    # A zombie holds nothing any more. The 22nd field, the start time, tells it from a later process
    # of the same number.
    return None if state == "Z" else f"{pid} {fields[18]}"
