"""Import images from archives, from standard input, from Podman or from Docker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import command
from k3s_rootless.errors import CommandFailed, RootlessError, UsageError
from k3s_rootless.node.images import archive, references
from k3s_rootless.operations.images.client import Client
from k3s_rootless.operations.releases.events import Arrived, Arriving

if TYPE_CHECKING:
    from k3s_rootless.node.images.facts import Archive
    from k3s_rootless.operations.context import Context

STDIN = "-"
_STDIN_DESCRIPTOR = 0
PODMAN, DOCKER = "podman", "docker"
_PROGRAMS = {
    PODMAN: ("podman", "save", "--format", "docker-archive", "--"),
    DOCKER: ("docker", "save", "--"),
}
_LISTED_WITHIN = 10.0
"""containerd's CRI plugin learns of an image from an event."""
_PAUSE = 0.2


@dataclass(frozen=True, slots=True)
class Source:
    """Where an archive comes from: a file, `-` for stdin, or the name of an image in `program`."""

    name: str
    program: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """The names of the imported images, and what the user should know about them."""

    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)


def load(context: Context, sources: Sequence[Source]) -> Imported:
    """Import the images of all sources, and check that K3s lists them. Raises RootlessError."""
    begun = time.monotonic()
    if not sources:
        raise UsageError(
            "cannot import images: no archive was named",
            hint="name a file, or use: k3s-rootless images import --from podman NAME",
        )
    client = Client.of(context, "images import")
    archives = [_one(context, client, source) for source in sources]
    names = references.unique(name for one in archives for name in one.names)
    _require_listed(client, names)
    unnamed = sum(one.unnamed for one in archives)
    return Imported(names, tuple(_warnings(names, unnamed)), time.monotonic() - begun)


def _one(context: Context, client: Client, source: Source) -> Archive:
    found: list[Archive] = []

    def produce(write: Callable[[bytes], object]) -> None:
        pieces, size = _pieces(source)
        shown = _Shown(context, source, size)
        found.append(archive.scan(shown.counted(pieces), source.name, write))

    try:
        client.load(produce)
    finally:
        context.listener(Arrived(source.name))
    if not found:
        raise RootlessError(f"cannot import `{source.name}`: ctr did not read the whole archive")
    return found[0]


def _pieces(source: Source) -> tuple[Iterator[bytes], int | None]:
    """Return the pieces of an archive, and the size of the archive if it is known."""
    if source.program:
        return _saved(source), None
    if source.name == STDIN:
        return iter(lambda: os.read(_STDIN_DESCRIPTOR, archive.PIECE), b""), None
    file = archive.of_file(Path(source.name))
    return iter(lambda: file.read(archive.PIECE), b""), Path(source.name).stat().st_size


def _saved(source: Source) -> Iterator[bytes]:
    try:
        yield from command.pieces((*_PROGRAMS[source.program], source.name))
    except CommandFailed as error:
        hint = f"list the images that it has: {source.program} images"
        if command.found(source.program)[0] is None:
            hint = (
                f"install {source.program}, or import an archive: k3s-rootless images import FILE"
            )
        raise RootlessError(
            f"cannot get `{source.name}` from {source.program}: {error.message}", hint=hint
        ) from error


class _Shown:
    """Reports the progress of one archive."""

    def __init__(self, context: Context, source: Source, size: int | None) -> None:
        self._context = context
        self._name = source.name
        self._from = source.program or "this host"
        self._size = size

    def counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        received = 0
        for piece in pieces:
            received += len(piece)
            self._context.listener(Arriving(self._name, self._from, received, self._size))
            yield piece


def _require_listed(client: Client, names: tuple[str, ...]) -> None:
    deadline = time.monotonic() + _LISTED_WITHIN
    while True:
        listed = {name for image in client.images() for name in image.names}
        missing = [name for name in names if name not in listed]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise RootlessError(
                f"cannot find `{missing[0]}` in containerd after the import",
                hint="see which images it has: k3s-rootless images list",
            )
        time.sleep(_PAUSE)


def _warnings(names: Iterable[str], unnamed: int) -> Iterator[str]:
    for name in names:
        if references.is_latest(name):
            yield (
                f"{name} has the tag `latest`: Kubernetes pulls it from its registry at each start"
                " of a container, unless the Pod has imagePullPolicy: IfNotPresent"
            )
    if unnamed:
        yield (
            f"images without a name of their own: {unnamed}; containerd calls them import-DATE,"
            " see: k3s-rootless images list"
        )
