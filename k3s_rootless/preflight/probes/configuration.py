"""Probes of the datastore's token, and of the place where K3s writes its kubeconfig.

They use open(2), stat(2) and access(2), and write nothing to find out whether a file is writable.
No token is kept.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from k3s_rootless.k3s import layout
from k3s_rootless.k3s.origin import Value
from k3s_rootless.k3s.token import password
from k3s_rootless.observation import Known, Observed, Unknown
from k3s_rootless.preflight.records import Target, Token

_LARGEST = 64 * 1024
_DATASTORES = (layout.SQLITE, layout.ETCD)


def token(data: Path, given: Value, directory: Path) -> Observed[Token]:
    """Compare the token that K3s is given with the one of the datastore in `data`.

    `given` is the value of `--token-file` if that is its name, otherwise the value of `--token`.
    `directory` is the working directory of K3s. A new cluster accepts any token.
    """
    file = data / layout.SERVER_TOKEN
    if not given.text or not any((data / one).exists() for one in _DATASTORES):
        return Known(Token(given.origin, fits=True), str(file))
    own, problem = _text(file)
    if problem:
        return Unknown(problem)
    configured = given.text
    origin = given.origin
    if given.name == "token-file":
        place = directory / given.text
        configured, problem = _text(place)
        if problem:
            return Known(Token(origin, fits=None, reason=problem), str(file))
    own_password = password(own.strip())
    configured_password = password(configured.strip())
    if own_password is None or configured_password is None:
        reason = "the configured token or that of the datastore is not a server token"
        return Known(Token(origin, fits=None, reason=reason), str(file))
    return Known(Token(origin, fits=own_password == configured_password), str(file))


def _text(path: Path) -> tuple[str, str]:
    """Return the content of a file, and why it cannot be read; one of the two is empty."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        return "", f"{path}: {(error.strerror or str(error)).lower()}"
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return "", f"{path}: not a regular file"
        return os.read(descriptor, _LARGEST).decode("utf-8", "replace"), ""
    except OSError as error:
        return "", f"{path}: {(error.strerror or str(error)).lower()}"
    finally:
        os.close(descriptor)


def target(path: Path, uid: int, gid: int) -> Observed[Target]:
    """Return whether K3s of this user can write the kubeconfig at `path` (its pkg/clientaccess).

    K3s creates missing directories, and truncates an existing file. It removes a symbolic link at
    the default path, and follows a link elsewhere. K3s runs as root of a user namespace, so the
    mode of a file that belongs to the user and the user's group does not stop it.
    """
    try:
        found = next(one for one in (path, *path.parents) if os.path.lexists(one))
        if found == path and path.is_symlink() and path.name == "k3s.yaml":
            found = path.parent
        status = found.stat()
        read_only = bool(os.statvfs(found).f_flag & os.ST_RDONLY)
    except OSError as error:
        return Unknown(f"{path} cannot be checked: {(error.strerror or str(error)).lower()}")
    own = status.st_uid == uid
    directory = stat.S_ISDIR(status.st_mode)
    problem = ""
    source = "stat"
    if found == path and not stat.S_ISREG(status.st_mode):
        problem = f"{found} is not a regular file"
    elif found != path and not directory:
        problem = f"{found} is not a directory"
    else:
        source = "access"
        needed = os.W_OK
        if directory:
            needed |= os.X_OK
        overridden = own and status.st_gid == gid and not read_only
        if not overridden and not os.access(found, needed):
            problem = f"{found} is not writable"
    if not problem:
        return Known(Target(str(path)), source)
    return Known(Target(str(path), problem, str(found), own, directory), source)
