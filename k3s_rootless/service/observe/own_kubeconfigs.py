"""Reader of the kubeconfigs that K3s keeps for its own components.

`k3s.issued` checks whether they are stale.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from k3s_rootless.k3s import issued, layout
from k3s_rootless.k3s.issued import OwnKubeconfig
from k3s_rootless.observation import Known, Observed, Unknown

_LARGEST = 16 * 1024
"""Limit in bytes; kubeconfigs of K3s are below 1 KiB, since they only name files."""
_MOST = 50


def read(data: Path, uid: int) -> Observed[tuple[OwnKubeconfig, ...]]:
    """Read the kubeconfigs in a data directory of user `uid`; a new directory has none.

    A kubeconfig without its certificate is left out, because the next start writes it again.
    """
    directory = data / layout.CREDENTIALS
    found = []
    try:
        paths = sorted(one for one in directory.iterdir() if one.suffix == ".kubeconfig")
        for path in paths[:_MOST]:
            one = _kubeconfig(path, uid, data / layout.TLS)
            if one is not None:
                found.append(one)
    except FileNotFoundError:
        return Known((), str(directory))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Unknown(f"cannot read {directory}: {reason.lower()}")
    return Known(tuple(found), str(directory))


def _kubeconfig(path: Path, uid: int, tls: Path) -> OwnKubeconfig | None:
    port, certificate = issued.parse(path.name, _text(path, uid))
    named = Path(certificate)
    own = tls / named.name
    if not (own.exists() and own.with_suffix(".key").exists()):
        return None
    return OwnKubeconfig(path.name, port, certificate, elsewhere=not _is_same(named, own))


def _is_same(named: Path, own: Path) -> bool:
    try:
        return named.samefile(own)
    except OSError:
        return False  # missing, or in the home directory of another user


def _text(path: Path, uid: int) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != uid:
            raise ValueError(f"{path.name} is not a regular file of uid {uid}")
        return os.read(descriptor, _LARGEST).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
