"""What K3s wrote into its own kubeconfigs when it issued certificates, and keeps until it issues
them again.

K3s writes `server/cred/*.kubeconfig` only together with a new client certificate (its
pkg/daemons/control/deps, v1.21 to v1.36). They name the internal port of the API server, which is
the port of the API plus 1, and the paths of certificates in the data directory. With another port,
or in a directory that was moved, K3s starts and dies (seen with v1.36.3):

    Shutdown request received: "controller-manager exited: … 127.0.0.1:6444: connect: connection
    refused"

`k3s certificate rotate` removes the certificates, and the next start writes both again.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from k3s_rootless.observation import Known, Observed, Unknown

_LARGEST = 16 * 1024
"""Bytes of one kubeconfig; those of K3s have less than 1 KiB, since they name files."""
_MOST = 50
_SERVER = re.compile(r"^ +server: https://\S+:(?P<port>[0-9]{1,5})$", re.MULTILINE | re.ASCII)
_CERTIFICATE = re.compile(r"^ +client-certificate: (?P<path>/\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Baked:
    """One of K3s's own kubeconfigs: the port that it names, and the certificate.

    `elsewhere` is set if the certificate that it names is not the one in the data directory.
    """

    name: str
    port: int
    certificate: str
    elsewhere: bool


def read(data: Path, uid: int) -> Observed[tuple[Baked, ...]]:
    """Read the kubeconfigs in a data directory of user `uid`; none in a new one.

    Kubeconfigs whose certificate is missing are left out: the next start writes them.
    """
    directory = data / "server" / "cred"
    found = []
    try:
        paths = sorted(one for one in directory.iterdir() if one.suffix == ".kubeconfig")
        for path in paths[:_MOST]:
            one = _baked(_text(path, uid), path, data / "server" / "tls")
            found += [one] if one is not None else []
    except FileNotFoundError:
        return Known((), str(directory))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return Unknown(f"{directory} cannot be read: {reason.lower()}")
    return Known(tuple(found), str(directory))


def internal_port(https_port: int, given: str = "") -> int:
    """Return the port of the API server inside; `given` is the value of `--apiserver-port`."""
    named = int(given) if given.isascii() and given.isdecimal() and len(given) <= 5 else 0
    return named or https_port + 1


def stale(found: Iterable[Baked], port: int) -> str | None:
    """Return why K3s would die with these kubeconfigs and the internal `port`; None if it would
    not.
    """
    for one in found:
        if one.port != port:
            return f"{one.name} names port {one.port}, and K3s's internal port is {port} now"
        if one.elsewhere:
            return f"{one.name} names {one.certificate}, which is not in this data directory"
    return None


def _baked(text: str, path: Path, tls: Path) -> Baked | None:
    port, certificate = _SERVER.search(text), _CERTIFICATE.search(text)
    if port is None or certificate is None:
        raise ValueError(f"{path.name} is not a kubeconfig as K3s writes it")
    named = Path(certificate["path"])
    own = tls / named.name
    if not (own.exists() and own.with_suffix(".key").exists()):
        return None
    elsewhere = not (named.exists() and named.samefile(own))
    return Baked(path.name, int(port["port"]), str(named), elsewhere)


def _text(path: Path, uid: int) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != uid:
            raise ValueError(f"{path.name} is not a regular file of uid {uid}")
        return os.read(descriptor, _LARGEST).decode("utf-8", "replace")
    finally:
        os.close(descriptor)
