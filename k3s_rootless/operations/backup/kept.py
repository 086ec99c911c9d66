"""List the backups in the directory of backups, and verify one completely."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from k3s_rootless import atomic
from k3s_rootless.backup import contents, datastores, names, staging, verify
from k3s_rootless.backup.facts import Backup, Entry, Manifest
from k3s_rootless.errors import RootlessError
from k3s_rootless.operations.backup import document as documents

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

_LARGEST_READ = 256 * 2**20


@dataclass(frozen=True, slots=True)
class Kept:
    """A file in the directory of backups, and its manifest or the reason why it is unknown."""

    path: Path
    size: int
    manifest: Manifest | None
    problem: str = ""


def kept(context: Context) -> tuple[Kept, ...]:
    """Return the backups in the directory of backups, the oldest first.

    Only manifests are read: `verified` checks a backup. Raises RootlessError if the directory
    cannot be read.
    """
    try:
        paths = sorted(context.paths.backups.glob(f"*{names.ARCHIVE_SUFFIX}"))
    except OSError as error:
        raise RootlessError(
            f"cannot read `{context.paths.backups}`: {atomic.reason(error)}"
        ) from error
    found = [_read(path) for path in paths if not path.name.startswith(".")]
    return tuple(sorted(found, key=_age))


def newest_good(context: Context) -> Kept | None:
    """Return the newest backup that is not damaged; None if there is none.

    Larger backups than 256 MiB are not read completely; `backup restore` does so in any case.
    Raises RootlessError if the directory cannot be read.
    """
    for one in reversed(kept(context)):
        if one.manifest is None:
            continue
        if one.size > _LARGEST_READ:
            return one
        try:
            verified(context, one.path)
        except RootlessError:
            continue
        return one
    return None


def path_of(context: Context, given: Path) -> Path:
    """Return the path of a backup; a bare name may be in the directory of backups."""
    if len(given.parts) == 1 and not given.exists():
        kept_path = context.paths.backups / given
        if kept_path.exists():
            return kept_path
    return given


def verified(
    context: Context, path: Path, judge: Callable[[Manifest], None] = lambda _: None
) -> Backup:
    """Read a backup completely, and check its datastore.

    The datastore is unpacked to a private directory in TMPDIR, or in /var/tmp, which is on a disk.
    `judge` raises an error for a manifest that must not be used. Raises RootlessError for a damaged
    backup.
    """
    # `staging` creates a new directory there with a random name, for this user only.
    temporary = Path(context.environ.get("TMPDIR") or "/var/tmp")  # noqa: S108
    with staging.directory(temporary) as folder:
        return unpacked(folder, path, judge)


def unpacked(
    folder: Path,
    path: Path,
    judge: Callable[[Manifest], None],
    wanted: Callable[[Entry], bool] = lambda _: False,
) -> Backup:
    """Read a backup as `verified` does, and keep its datastore and other `wanted` files.

    They are in `folder`, under their names in the archive.
    """
    found = verify.read(path, lambda entry: _target(folder, entry, wanted), judge)
    if not contents.has_datastore(found.manifest):
        raise RootlessError(f"cannot use `{path}`: it contains no datastore")
    try:
        datastores.check(folder, found.manifest.datastore)
    except RootlessError as error:
        raise RootlessError(f"cannot use `{path}`: {error.message}") from error
    return found


def list_document(context: Context, found: tuple[Kept, ...]) -> dict[str, Any]:
    """Return the JSON form of the list."""
    return {
        "directory": str(context.paths.backups),
        "backups": [
            documents.backup(one.path, one.size, one.manifest) for one in found if one.manifest
        ],
        "unusable": [
            {"file": str(one.path), "size": one.size, "reason": one.problem}
            for one in found
            if one.manifest is None
        ],
        "errors": [],
    }


def verify_document(found: Backup) -> dict[str, Any]:
    """Return the JSON form of a verified backup."""
    return {
        "backup": documents.backup(found.path, found.size, found.manifest),
        "left_out": documents.left_out(found.manifest),
        "errors": [],
    }


def _read(path: Path) -> Kept:
    try:
        found = verify.manifest_of(path)
    except RootlessError as error:
        return Kept(path, _size(path), None, error.message)
    return Kept(path, found.size, found.manifest)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _age(one: Kept) -> tuple[float, str]:
    made = one.manifest.created.timestamp() if one.manifest else 0.0
    return made, one.path.name


@contextmanager
def _target(
    folder: Path, entry: Entry, wanted: Callable[[Entry], bool]
) -> Iterator[IO[bytes] | None]:
    if entry.name not in contents.CHECKED and not wanted(entry):
        yield None
        return
    try:
        path = folder / entry.name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("xb") as file:
            yield file
    except OSError as error:
        if error.errno is None:
            raise  # a damaged archive
        raise RootlessError(
            f"cannot unpack the backup to `{folder}`: {atomic.reason(error)}",
            hint=atomic.hint(error, folder),
        ) from error
