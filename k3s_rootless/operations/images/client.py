"""The containerd of the running K3s, reached with K3s's own crictl and ctr."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.node import inside, invocation, subcommands
from k3s_rootless.node.images import archive, importing, listing, references
from k3s_rootless.operations.node import surroundings

if TYPE_CHECKING:
    from k3s_rootless.node.facts import Surroundings
    from k3s_rootless.node.images.facts import Image
    from k3s_rootless.operations.context import Context

IMPORT_SECONDS = 1800.0
"""Time limit for unpacking an image after it has arrived."""
_LIST = ".txt"


@dataclass(frozen=True, slots=True)
class Client:
    """containerd of one start of K3s."""

    context: Context
    found: Surroundings
    node: inside.Node

    @classmethod
    def of(cls, context: Context, what: str) -> Client:
        """Return the client; `what` is the command for errors. Raises RootlessError."""
        state, found = surroundings.read(context)
        child = surroundings.child(context, state, what)
        return cls(context, found, inside.Node(child, state.control_group))

    def images(self) -> tuple[Image, ...]:
        """List the images. Raises RootlessError."""
        return listing.images(self._run("crictl", "images", "-o", "json"))

    def used(self, *, certain: bool) -> tuple[Image, ...]:
        """List the images with their users, and whether they are preloaded.

        Raises RootlessError; if `certain`, also if it is not known which images are preloaded.
        """
        users = listing.containers(self._run("crictl", "ps", "--all", "-o", "json"))
        try:
            early = preloaded(self.found.data)
        except RootlessError as error:
            if certain:
                raise
            self.context.notice(f"it is not known which images are preloaded: {error.message}")
            early = frozenset()
        return listing.with_users(self.images(), users, early)

    def load(self, produce: Callable[[Callable[[bytes], object]], None]) -> None:
        """Import an archive, which `produce` writes without compression. Raises RootlessError."""
        words = importing.words(self.found.release, self.found.snapshotter)
        self._run(*words, produce=produce, timeout=IMPORT_SECONDS)

    def remove(self, image: Image) -> None:
        """Remove an image. Raises RootlessError."""
        self._run("crictl", "rmi", image.id)

    def _run(
        self,
        *words: str,
        produce: Callable[[Callable[[bytes], object]], None] | None = None,
        timeout: float = inside.SECONDS,
    ) -> str:
        entry = subcommands.find(words)
        program = invocation.of_subcommand(entry, words, self.found, self.context.environ)
        return inside.run(self.node, program, produce, timeout=timeout)


def preloaded(data: Path) -> frozenset[str]:
    """Return the names of the images in K3s's directory for images.

    Raises RootlessError if an archive cannot be read: its images must not be removed.
    """
    names: set[str] = set()
    directory = data / layout.IMAGES
    try:
        paths = sorted(directory.iterdir())
    except FileNotFoundError:
        return frozenset()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RootlessError(f"cannot list `{directory}`: {reason}") from error
    for path in paths:
        if path.name.startswith(".") or not path.is_file():
            continue
        names |= _names(path)
    return frozenset(names)


def _names(path: Path) -> set[str]:
    if path.suffix == _LIST:
        return {references.full(line) for line in _lines(path)}
    try:
        return set(archive.scanned(path).names)
    except RootlessError as error:
        raise RootlessError(
            f"cannot read which images `{path}` contains, and K3s imports them at each start",
            hint=f"if it is no archive of images, remove it: rm {path}",
        ) from error


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise RootlessError(f"cannot read `{path}`: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]
