"""Performers that change the releases on this host.

A release exists as soon as its binary has its name. Its record is written before that, so that no
binary is without one. All changes are made under a lock.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from k3s_rootless import atomic, trust
from k3s_rootless.binaries import extractions, installed
from k3s_rootless.binaries.facts import Answers, Extraction, Leftover, Passage, Record
from k3s_rootless.binaries.part import VALIDATOR_SUFFIX
from k3s_rootless.errors import PreflightFailed, RootlessError
from k3s_rootless.k3s import layout

_TEMPORARY = ".link.new"
_MOST_PASSAGES = 100


@contextmanager
def changing(own: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the lock of the releases; `on_wait` is called if another process holds it.

    Raises PreflightFailed if another user could change the directory, RootlessError.
    """
    place = own / installed.RELEASES
    with _storing(place):
        atomic.make_directory(place / installed.INCOMING)
        if risk := trust.risk(place / installed.INCOMING):
            raise PreflightFailed(
                f"cannot keep releases in {place}: {risk}",
                hint="set XDG_DATA_HOME to a directory that only you can change",
            )
        descriptor = os.open(
            place / installed.LOCK,
            os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o600,
        )
    try:
        atomic.lock(descriptor, on_wait)
        yield
    finally:
        os.close(descriptor)


def incoming(own: Path, sha256: str) -> Path:
    """Return where an asset with this checksum arrives."""
    return own / installed.RELEASES / installed.INCOMING / f"{sha256}.part"


def keep(own: Path, part: Path, record: Record) -> Path:
    """Give a verified and synced file its name in the store, with its record.

    The caller holds the lock. Raises RootlessError.
    """
    binary = installed.path_of(own, record.version)
    with _storing(binary.parent):
        atomic.make_directory(binary.parent)
        _write_json(binary.with_name(installed.RECORD), asdict(record))
        part.rename(binary)
        atomic.sync(binary.parent)
        atomic.sync(part.parent)
    discard(part)
    return binary


def discard(part: Path) -> None:
    """Remove a file that arrived, and its validator."""
    part.unlink(missing_ok=True)
    part.with_name(part.name + VALIDATOR_SUFFIX).unlink(missing_ok=True)


def use(own: Path, version: str) -> None:
    """Let the stable path lead to a release. The caller holds the lock. Raises RootlessError."""
    before = installed.linked(own, installed.LINK)
    if before == version:
        return
    with _storing(own / "bin"):
        atomic.make_directory(own / "bin")
        if before is not None:
            _link(own, installed.PREVIOUS, before)
        _link(own, installed.LINK, version)


def put_back(own: Path, used: str | None, previous: str | None) -> None:
    """Let the links lead to these releases; without a release, remove the link.

    The caller holds the lock. Raises RootlessError.
    """
    with _storing(own / "bin"):
        for link, version in ((installed.LINK, used), (installed.PREVIOUS, previous)):
            if version is None:
                (own / link).unlink(missing_ok=True)
            else:
                _link(own, link, version)
        if (own / "bin").exists():
            atomic.sync(own / "bin")


def remember(own: Path, answers: Answers) -> None:
    """Keep the last answers of channels. Raises RootlessError."""
    with _storing(own):
        atomic.make_directory(own)
        _write_json(own / installed.ANSWERS, asdict(answers))


def add_passage(own: Path, passage: Passage) -> None:
    """Add an upgrade or a rollback to the history; replaces one of the same time.

    Raises RootlessError.
    """
    others = [one for one in installed.history(own) if one.date != passage.date]
    kept = [*others, passage][-_MOST_PASSAGES:]
    with _storing(own):
        atomic.make_directory(own)
        _write_json(own / installed.HISTORY, {"passages": [asdict(one) for one in kept]})


def remove_release(own: Path, version: str) -> None:
    """Remove a release, its binary first, so that no part of a release can be used.

    The caller holds the lock. Raises RootlessError.
    """
    binary = installed.path_of(own, version)
    with _storing(binary.parent):
        binary.unlink(missing_ok=True)
        shutil.rmtree(binary.parent)


def remove_leftover(leftover: Leftover) -> None:
    """Remove what an interrupted download left. The caller holds the lock. Raises RootlessError."""
    with _storing(leftover.path.parent):
        if leftover.path.is_dir() and not leftover.path.is_symlink():
            shutil.rmtree(leftover.path)
        else:
            leftover.path.unlink(missing_ok=True)


def remove_all(own: Path) -> None:
    """Remove all releases, what downloads left, and the last answers of channels.

    Other files stay, and so do their directories. The caller holds the lock. Raises RootlessError.
    """
    with _storing(own):
        for name in (installed.LINK, installed.PREVIOUS, f"bin/{_TEMPORARY}"):
            if (own / name).is_symlink():
                (own / name).unlink()
        for release in installed.releases(own):
            remove_release(own, release.version)
        for leftover in installed.leftovers(own):
            remove_leftover(leftover)
        (own / installed.ANSWERS).unlink(missing_ok=True)
        releases = own / installed.RELEASES
        (releases / installed.LOCK).unlink(missing_ok=True)
    for directory in (releases / installed.INCOMING, releases, own / "bin", own):
        with suppress(OSError):
            directory.rmdir()


@contextmanager
def unpacking(data: Path) -> Iterator[bool]:
    """Hold the lock of K3s while it unpacks itself; yield False if K3s holds it, or has none.

    Raises RootlessError.
    """
    with _storing(data):
        try:
            descriptor = os.open(data / layout.UNPACKING_LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            yield False
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(descriptor)


def remove_extraction(extraction: Extraction) -> None:
    """Remove a directory into which K3s unpacked itself; the caller holds the lock of K3s.

    K3s uses a directory with its name as it is, even if files are missing, so the directory first
    gets the name of one that K3s did not complete. Raises RootlessError.
    """
    path = extraction.path
    with _storing(path):
        if not extraction.unfinished:
            renamed = path.with_name(path.name + extractions.UNFINISHED)
            if renamed.exists():
                shutil.rmtree(renamed)
            path.rename(renamed)
            atomic.sync(path.parent)
            path = renamed
        shutil.rmtree(path)


def _link(own: Path, link: str, version: str) -> None:
    # A relative target, so that the home directory can be moved.
    target = Path("..", installed.RELEASES, version, installed.BINARY)
    temporary = own / "bin" / _TEMPORARY
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.rename(own / link)
    atomic.sync(own / "bin")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content, indent=2, default=str) + "\n"
    atomic.write(path, text.encode("utf-8"), 0o644)
    atomic.sweep(path.parent, path.name.replace(".", r"\."))


@contextmanager
def _storing(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = None
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            hint = "set XDG_DATA_HOME to a directory that you can write"
        raise RootlessError(f"cannot change {place}: {atomic.reason(error)}", hint=hint) from error
