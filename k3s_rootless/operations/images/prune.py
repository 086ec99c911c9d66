"""Remove images that nothing needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.errors import RootlessError
from k3s_rootless.node.images import listing
from k3s_rootless.operations import consent, server_settings
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.images.client import Client

if TYPE_CHECKING:
    from k3s_rootless.node.images.facts import Image
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Pruned:
    """The images that were removed, or would be removed if `dry_run`.

    `problems` are the reasons why an image could not be removed.
    """

    removed: tuple[Image, ...]
    dry_run: bool = False
    problems: tuple[str, ...] = ()

    @property
    def freed(self) -> int:
        """The size of these images in bytes; images can share layers."""
        return sum(one.size for one in self.removed)


def prune(context: Context, ask: Ask, *, dry_run: bool, yes: bool) -> Pruned:
    """Remove the images that are not pinned, not preloaded, and without a container.

    `ask` asks the user, and returns None without a terminal. Raises RootlessError.
    """
    client = Client.of(context, "images prune")
    pause = server_settings.of(context, context.k3s_unit()).value("pause-image").text
    found = listing.removable(client.used(certain=True), pause)
    if dry_run or not found:
        return Pruned(found, dry_run=dry_run)
    if not yes:
        _require_consent(found, ask)
    removed = []
    problems = []
    for image in found:
        try:
            client.remove(image)
        except RootlessError as error:
            problems.append(f"cannot remove `{image.text}`: {error.message}")
        else:
            removed.append(image)
    return Pruned(tuple(removed), problems=tuple(problems))


def _require_consent(found: tuple[Image, ...], ask: Ask) -> None:
    names = ", ".join(one.text for one in found)
    consent.require(
        ask,
        f"Remove the images without a container: {names}? K3s must pull or import them again when"
        " a Pod needs them.",
        unanswered="cannot ask for confirmation without a terminal",
        hint="remove them without a question: k3s-rootless images prune --yes",
        refused="no image was removed: the removal was not confirmed",
    )
