"""Place of a lab on the host: a directory below /run, a cgroup and the holder of its namespaces."""

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
    """Place of the lab `label`; a site has at most one lab."""

    label: str

    def __post_init__(self) -> None:
        if not _LABEL.fullmatch(self.label):
            raise LabError(
                f"{self.label!r} is not a name for a lab: use small letters, digits and hyphens"
            )

    @property
    def state(self) -> Path:
        """Directory that the driver and the machine share."""
        return _RUN / f"{_PREFIX}{self.label}"

    @property
    def cgroup(self) -> Path:
        """Cgroup of all processes of the machine."""
        return cgroups.mount_point() / f"{_PREFIX}{self.label}"

    def claim(self) -> None:
        """Reserve the site; raise LabError if a lab is using it."""
        try:
            self.state.mkdir(mode=0o755)
        except FileExistsError:
            raise LabError(f"a lab named {self.label} is already running") from None
        (self.state / "scratch").mkdir()
        cgroups.create(self.cgroup.name)

    def settle(self, holder: int) -> None:
        """Record the holder; when this process ends, the lab ends."""
        (self.state / "holder").write_text(_identity(holder) or "")

    def settled(self) -> bool:
        """Return whether the recorded process is alive, and not one that reuses its PID."""
        try:
            recorded = (self.state / "holder").read_text()
        except OSError:
            return False
        return bool(recorded) and _identity(int(recorded.split()[0])) == recorded

    def clear(self) -> None:
        """Kill all processes of the lab, and remove all its files."""
        cgroups.remove(self.cgroup)
        shutil.rmtree(self.state, ignore_errors=True)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Prevent other drivers from claiming and sweeping sites.

    The lock is on /run itself, and so leaves no file.
    """
    place = os.open(_RUN, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(place, fcntl.LOCK_EX)
        yield
    finally:
        os.close(place)


def sweep() -> None:
    """Clear the sites of labs that exited with their driver; call this inside `one_at_a_time`."""
    for site in sites():
        if not site.settled():
            site.clear()


def sites() -> list[Site]:
    """Return all sites that have a directory or cgroup of a lab, running or not."""
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
    # A zombie holds no resources. The 22nd field, the start time, distinguishes a process from a
    # later one with the same PID.
    return None if state == "Z" else f"{pid} {fields[18]}"
