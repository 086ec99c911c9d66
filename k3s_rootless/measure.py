"""What an administrator does to a host for rootless K3s: each one thing, that can be done twice and taken back.

The script of `check --admin-script` is made of these; see units/administrator.sh.j2 for what each becomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Then(Enum):
    """What has to hear of a file that was written."""

    NOTHING = ""
    SYSTEMD = "systemd"
    APPARMOR = "apparmor"
    UDEV = "udev"


@dataclass(frozen=True, slots=True)
class File:
    """Write a file of our own name, whole; what was there is kept and comes back."""

    path: str
    text: str
    then: Then = Then.NOTHING


@dataclass(frozen=True, slots=True)
class Sysctl:
    """Set a sysctl now and for later boots; with `least`, one that is higher stays."""

    key: str
    value: str
    least: bool = False


@dataclass(frozen=True, slots=True)
class Module:
    """Load a kernel module now and at each boot."""

    name: str


@dataclass(frozen=True, slots=True)
class Package:
    """Install what brings a program: `newuidmap`, `mount.fuse3`, or the bus of user sessions (`dbus.socket`)."""

    brings: str


@dataclass(frozen=True, slots=True)
class SubordinateIds:
    """Give a user 65536 subordinate user and group ids that nobody else has."""

    user: str


@dataclass(frozen=True, slots=True)
class Mode:
    """Change a file's mode, and its owner to root, as chmod(1) takes it (`u+s`)."""

    path: str
    change: str


@dataclass(frozen=True, slots=True)
class PlainFile:
    """Replace a symbolic link by a file of the same content."""

    path: str


@dataclass(frozen=True, slots=True)
class BootArgument:
    """Add arguments to the kernel's command line."""

    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Linger:
    """Let a user's manager run without a session."""

    user: str


Measure = File | Sysctl | Module | Package | SubordinateIds | Mode | PlainFile | BootArgument | Linger
