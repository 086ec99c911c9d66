"""Reader of the configuration files of K3s.

These are the file that K3s is given, or its default file, and the drop-ins beside that file.
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
_URL = "it is a URL, which K3s does not fetch: it looks for a local file with that name"


def read(location: str, directory: Path, root: Path = Path("/")) -> tuple[ConfigFile, ...]:
    """Read the files that K3s reads for a location, in its order.

    Source: K3s pkg/configfilearg, v1.21 to v1.36. A relative location starts at `directory`, the
    working directory of K3s; the default location of K3s is below `root`. An empty location means
    no file.
    """
    if not location:
        return ()
    if config_file.is_url(location):
        # Without user and query, which may contain a password.
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
    """Return which of these files, or their directory, changed last, and when.

    Returns None if none of them exists. The time is the ctime of the inode, because a file that is
    moved into place keeps the time when it was written. The removal of a drop-in changes this time,
    the removal of the configuration file does not.
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
    # If two times are the same, the file that K3s reads later counts.
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
    # Imported here because config_yaml loads PyYAML, and many hosts have no such file.
    from k3s_rootless.k3s import config_yaml

    return ConfigFile(path, config_yaml.parse(found.text))


def _drop_ins(directory: Path) -> tuple[ConfigFile, ...]:
    try:
        chosen = _chosen(directory)
    except OSError as error:
        reason = f"cannot list `{directory}`: {atomic.reason(error)}"
        return (ConfigFile(directory, Unknown(reason)),)
    if len(chosen) > _MOST_FILES:
        reason = f"`{directory}` contains more than {_MOST_FILES} files"
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
    # K3s skips a directory, and does not start if there is a link to a directory.
    return [path for path in named if path.is_symlink() or not path.is_dir()]
