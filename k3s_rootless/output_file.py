"""Write a file that the user named, completely or not at all, and keep a file that exists there."""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from k3s_rootless import atomic
from k3s_rootless.errors import RootlessError, WouldOverwrite


@dataclass(frozen=True, slots=True)
class Hints:
    """What a user can do: if the path is a directory, and after another failure there."""

    directory: Callable[[Path], str]
    failure: Callable[[OSError, Path], str | None]


def require_free(path: Path, hints: Hints, *, force: bool) -> None:
    """Raise an error if the path exists, even as a dangling link, unless `force` is set.

    Raises WouldOverwrite, RootlessError.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unwritable(path, error, hints) from error
    if stat.S_ISDIR(status.st_mode):
        raise RootlessError(f"cannot write `{path}`: it is a directory", hint=hints.directory(path))
    if not force:
        raise _exists(path)


@contextmanager
def writing(path: Path, usual: str, hints: Hints, *, force: bool) -> Iterator[IO[bytes]]:
    """Yield a file that gets its path, with mode 0600, when the block ends without an error.

    Files that an interrupted run left there are removed; `usual` is a regular expression for the
    names that the command chooses itself. A link at the path is replaced, never followed. Raises
    RootlessError, WouldOverwrite if another program has created the path since.
    """
    require_free(path, hints, force=force)
    atomic.sweep(path.parent, f"{usual}|{re.escape(path.name[:200])}")
    try:
        with atomic.being_written(path) as (file, new):
            yield file
            atomic.finish(file, 0o600)
            if force:
                new.replace(path)
            else:
                atomic.place(new, path)
        atomic.sync(path.parent)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise _unwritable(path, error, hints) from error


def _exists(path: Path) -> WouldOverwrite:
    return WouldOverwrite(
        f"cannot write `{path}`: it already exists",
        hint="name another file with -o, or replace this file with --force",
    )


def _unwritable(path: Path, error: OSError, hints: Hints) -> RootlessError:
    return RootlessError(
        f"cannot write `{path}`: {atomic.reason(error)}", hint=hints.failure(error, path)
    )
