"""Read K3s's configuration files: the one that K3s is given or its own, and the drop-ins beside
it.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from k3s_rootless import atomic
from k3s_rootless.k3s import config_file
from k3s_rootless.k3s.config_file import ConfigFile
from k3s_rootless.observation import Known, Unknown
from k3s_rootless.service.observe import files

_MOST_FILES = 1000
_URL = "it is a URL: K3s fetches none, it looks for a local file of that name"


def read(location: str, directory: Path, root: Path = Path("/")) -> tuple[ConfigFile, ...]:
    """Read what K3s reads for a location, in its order (K3s pkg/configfilearg, v1.21 to v1.36).

    A relative location begins in `directory`, the working directory of K3s; `root` is where K3s's
    default location is below. An empty location is none.
    """
    if not location:
        return ()
    if config_file.is_url(location):
        # Neither user nor query: they may hold a password.
        address = Path(location.rpartition("@")[2].partition("?")[0])
        return (ConfigFile(address, Known(()), missing=_URL),)
    path = _path(location, directory, root)
    drop_ins = _drop_ins(_beside(path))
    first = _read(path)
    if first is not None:
        return (first, *drop_ins)
    if not drop_ins and location != config_file.DEFAULT:
        return (ConfigFile(path, Known(()), missing="it does not exist"),)
    return drop_ins


def last_changed(
    location: str, directory: Path, root: Path = Path("/")
) -> tuple[Path, datetime] | None:
    """Return which of these files, or their directory, changed last, and when; None where there is
    none.

    The time is that of the inode: a file that is moved into place keeps the time when it was
    written. A configuration file that was removed leaves no trace, a drop-in does.
    """
    if not location or config_file.is_url(location):
        return None
    path = _path(location, directory, root)
    beside = _beside(path)
    found = []
    drop_ins: list[Path] = []
    with suppress(OSError):
        drop_ins = _chosen(beside)
    for one in (path, beside, *drop_ins):
        with suppress(OSError):
            found.append((max(one.stat().st_ctime, one.lstat().st_ctime), one))
    if not found:
        return None
    # Of two with one time, the one that is read later.
    time, newest = max(reversed(found), key=lambda one: one[0])
    return newest, datetime.fromtimestamp(time, UTC)


def _path(location: str, directory: Path, root: Path) -> Path:
    if location == config_file.DEFAULT:
        return root / location.lstrip("/")
    return directory / location


def _beside(path: Path) -> Path:
    return path.with_name(path.name + config_file.DIRECTORY_SUFFIX)


def _read(path: Path) -> ConfigFile | None:
    found = files.or_problem(path)
    if found.problem:
        return ConfigFile(path, Unknown(found.problem))
    if found.text is None:
        return None
    # Here, since its module loads PyYAML, and many hosts have no such file.
    from k3s_rootless.k3s import config_yaml

    return ConfigFile(path, config_yaml.parse(found.text))


def _drop_ins(directory: Path) -> tuple[ConfigFile, ...]:
    try:
        chosen = _chosen(directory)
    except OSError as error:
        reason = f"cannot look into `{directory}`: {atomic.reason(error)}"
        return (ConfigFile(directory, Unknown(reason)),)
    if len(chosen) > _MOST_FILES:
        reason = f"`{directory}` holds more than {_MOST_FILES} files"
        return (ConfigFile(directory, Unknown(reason)),)
    found = map(_read, chosen)
    return tuple(one for one in found if one is not None)


def _chosen(directory: Path) -> list[Path]:
    try:
        entries = sorted(
            directory.iterdir(), key=lambda path: path.name.encode("utf-8", "surrogateescape")
        )
    except FileNotFoundError:
        return []
    named = (path for path in entries if path.name.lower().endswith(config_file.SUFFIXES))
    # K3s passes over a directory, and does not start for a link to one.
    return [path for path in named if path.is_symlink() or not path.is_dir()]
