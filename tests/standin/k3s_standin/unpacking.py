"""First step of the program `k3s`: it unpacks itself into DATA/data, and runs the result.

Source: K3s cmd/k3s/main.go.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

from .journal import Fatal, Journal

_NAME = "5f0c2b6e1a9d"
_START = (
    'K3S_STANDIN_UNPACKED=1 PYTHONPATH="{package}" PYTHONDONTWRITEBYTECODE=1 exec "{python}" -P'
    ' -m k3s_standin "${{0##*/}}" "$@"'
)
_FILLING = b"# what K3s packs is two hundred times as large\n" * 22_000
_PROGRAM = "k3s-server"
_LINKS = (_PROGRAM, "kubectl", "crictl", "ctr")


def unpack(data_dir: Path, journal: Journal, *, damaged: bool = False) -> None:
    """Unpack a program of one MiB, unless it exists, and check that it can be executed.

    Raises Fatal with the message of K3s. A `damaged` program does not match the checksums that are
    packed with it (K3s pkg/dataverify).
    """
    place = data_dir / "data" / _NAME
    # Not Path.exists, which raises if access is denied.
    if not os.access(place / "bin" / "k3s", os.F_OK):
        _extract(place, journal, damaged=damaged)
    # Go's LookPath ignores files that the kernel would not execute.
    if not os.access(place / "bin" / _PROGRAM, os.X_OK):
        raise Fatal(f'exec: "{_PROGRAM}": executable file not found in $PATH')


def _extract(place: Path, journal: Journal, *, damaged: bool) -> None:
    lock = place.parent / ".lock"
    with contextlib.suppress(OSError):  # as in K3s: opening the lock reports it
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    journal.info(f"Acquiring lock file {lock}")
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise Fatal(f"extracting data: {(error.strerror or '').lower()}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        journal.info(f"Preparing data dir {place}")
        if damaged:
            _refuse(place, journal)
        _fill(place)
    finally:
        os.close(descriptor)


def _refuse(place: Path, journal: Journal) -> NoReturn:
    journal.error(f"Hash for file .sha256sums expected to be {hashlib.sha256().hexdigest()} (fail)")
    journal.error("Unable to verify sums: failed 1 hash verifications")
    raise Fatal(f"Error: extracting data: failed to verify directory {place}-tmp/bin")


def _fill(place: Path) -> None:
    unfinished = place.with_name(f"{place.name}-tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    program = unfinished / "bin" / "k3s"
    try:
        program.parent.mkdir(mode=0o755, parents=True)
        try:
            program.write_bytes(_contents())
        except OSError as error:
            why = f"write {program}: {(error.strerror or '').lower()}"
            raise Fatal(f"extracting data: error writing to {program}: {why}") from None
        program.chmod(0o755)
        for name in _LINKS:
            program.with_name(name).symlink_to(program.name)
        unfinished.rename(place)
        current = place.with_name("current")
        current.unlink(missing_ok=True)
        current.symlink_to(place)
    except OSError as error:
        raise Fatal(f"extracting data: {(error.strerror or '').lower()}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _contents() -> bytes:
    """Return the unpacked program: it runs the sub-command that it is called by."""
    package = Path(__file__).parent.parent
    start = _START.format(package=package, python=sys.executable)
    return f"#!/bin/sh\n{start}\n".encode() + _FILLING
