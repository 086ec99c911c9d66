"""Probes that open devices and files, and look up programs on a PATH."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from k3s_rootless.observation import Known, Observed, Unknown


def opened(path: Path, *, write: bool = False) -> Observed[int]:
    """Open a file or device, close it at once, and return 0 or the errno of open(2)."""
    # For any kind of file, open(2) must neither block nor set the controlling terminal.
    flags = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    flags |= os.O_RDWR if write else os.O_RDONLY
    try:
        os.close(os.open(path, flags))
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE, errno.EINTR, None}:
            return Unknown(f"{path} cannot be opened: {error.strerror}")
        return Known(error.errno or 0, str(path))
    return Known(0, str(path))


def found(name: str, search: str) -> Observed[str | None]:
    """Look up a program on `search`, a PATH.

    Relative entries are left out, as in `probes.host.map_program`.
    """
    places = os.pathsep.join(entry for entry in search.split(os.pathsep) if entry.startswith("/"))
    return Known(shutil.which(name, path=places), search)


def first_line(path: Path) -> Observed[str]:
    """Return the first line of a small file, such as a switch of the kernel."""
    try:
        with path.open("rb") as file:
            return Known(file.readline(4096).decode("utf-8", "replace").strip(), str(path))
    except OSError as error:
        return Unknown(f"{path} cannot be read: {error.strerror}")
