"""Create a support archive: gather a bundle, and write it completely or not at all."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.operations.bundle import gather
from k3s_rootless.operations.bundle.gather import Bundle
from k3s_rootless.support import archive

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Created:
    """A bundle, the file that it was written to, and the size of the file in bytes.

    The file is None and the size is 0 if the bundle was only listed.
    """

    bundle: Bundle
    path: Path | None = None
    size: int = 0


def preview(context: Context, *, anonymous: bool) -> Created:
    """Gather a bundle without writing it."""
    return Created(gather.gather(context, anonymous=anonymous))


def create(context: Context, output: Path | None, *, anonymous: bool, force: bool) -> Created:
    """Gather a bundle and write it to a file.

    If `output` is a directory, the file is new; by default, it is in the current directory. Raises
    WouldOverwrite if the file exists, unless `force` is set; RootlessError if it cannot be written.
    """
    path = output or Path()
    # The name of a new file contains the time, and is known only after the bundle was gathered.
    unnamed = path.is_dir()
    if not unnamed:
        archive.require_free(path, force=force)
    bundle = gather.gather(context, anonymous=anonymous)
    if unnamed:
        path /= f"{bundle.folder}.tar.gz"
    data = archive.packed(bundle.items, bundle.folder, bundle.made)
    archive.write(path, data, force=force)
    return Created(bundle, path, len(data))


def document(created: Created) -> dict[str, Any]:
    """Return the JSON form of the created archive, or of its preview."""
    bundle = created.bundle
    return {
        "file": str(created.path) if created.path else None,
        "anonymous": bundle.about["anonymous"],
        "redacted": bundle.about["redacted"],
        "files": archive.files(bundle.items),
        "missing": archive.missing(bundle.missing),
        "errors": [],
    }
