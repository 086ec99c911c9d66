"""The settings of k3s-rootless itself, in `$XDG_CONFIG_HOME/k3s-rootless/settings.json`.

The file is a JSON object of strings. `config set` changes it; entries that this version does not
know are kept.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from k3s_rootless import atomic, trust
from k3s_rootless.errors import PeerError, PreflightFailed, RootlessError
from k3s_rootless.json_fields import parsing, typed

MIRROR = "release.mirror"
NAMES = {MIRROR: "mirror that releases of K3s are downloaded from"}
"""The settings, each with its description."""
_LARGEST = 64 * 1024
_MODE = 0o644


def read(path: Path) -> dict[str, str]:
    """Return the settings that are set.

    Raises PreflightFailed if another user could change the file, RootlessError.
    """
    text = _text(path)
    if text is None:
        return {}
    if risk := trust.risk(path):
        raise PreflightFailed(
            f"cannot use the settings in {path}: {risk}",
            hint=f"check the file, then run: chmod go-w {path}",
        )
    try:
        with parsing(f"the settings in {path}"):
            found = typed(json.loads(text), dict)
            return {name: typed(value, str, name) for name, value in found.items()}
    except PeerError as error:
        error.hint = f"fix the file, or remove it: rm {path}"
        raise


def change(path: Path, changes: Mapping[str, str | None], on_wait: Callable[[], None]) -> bool:
    """Set settings, or unset those with None; return whether anything changed.

    `on_wait` is called if another process changes the file now. Raises the errors of `read`.
    """
    target = Path(os.path.realpath(path))
    try:
        atomic.make_directory(target.parent)
        directory = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            atomic.lock(directory, on_wait)
            return _changed(path, target, changes)
        finally:
            os.close(directory)
    except OSError as error:
        raise RootlessError(f"cannot change {path}: {atomic.reason(error)}") from error


def _changed(path: Path, target: Path, changes: Mapping[str, str | None]) -> bool:
    """Change the file at `target`, to which `path` leads; return whether anything changed."""
    before = read(path)
    merged = {**before, **changes}
    after = {name: value for name, value in merged.items() if value is not None}
    if after == before:
        return False
    text = json.dumps(after, indent=2, ensure_ascii=False) + "\n"
    atomic.write(target, text.encode("utf-8"), _MODE)
    atomic.sweep(target.parent, target.name.replace(".", r"\."))
    return True


def _text(path: Path) -> str | None:
    """Return the text of the file; None if there is no file. Raises RootlessError."""
    try:
        # Without O_NONBLOCK, the open of a pipe without a writer never returns.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RootlessError(f"cannot read {path}: {atomic.reason(error)}") from error
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise RootlessError(f"cannot read {path}: it is not a file")
        return file.read(_LARGEST).decode("utf-8", "replace")
