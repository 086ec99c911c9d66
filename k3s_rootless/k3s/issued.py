"""K3s's own kubeconfigs, which K3s keeps until it issues their certificates again.

K3s writes `server/cred/*.kubeconfig` only together with a new client certificate (its
pkg/daemons/control/deps, v1.21 to v1.36). The kubeconfigs contain the internal port of the API
server, which is the port of the API plus 1, and the paths of certificates in the data directory.
With another port, or after the data directory was moved, K3s starts and then exits (seen with
v1.36.3):

    Shutdown request received: "controller-manager exited: … 127.0.0.1:6444: connect: connection
    refused"

`k3s certificate rotate` removes the certificates, and the next start writes the
certificates and the kubeconfigs again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_SERVER = re.compile(r"^ +server: https://\S+:(?P<port>[0-9]{1,5})$", re.MULTILINE | re.ASCII)
_CERTIFICATE = re.compile(r"^ +client-certificate: (?P<path>/\S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class OwnKubeconfig:
    """One of K3s's own kubeconfigs, with its port and certificate.

    `elsewhere` is True if its certificate is not the one in the data directory.
    """

    name: str
    port: int
    certificate: str
    elsewhere: bool


def parse(name: str, text: str) -> tuple[int, str]:
    """Return the port and the path of the client certificate in a kubeconfig.

    Raises ValueError, with the kubeconfig's `name`, for text in another format.
    """
    port, certificate = _SERVER.search(text), _CERTIFICATE.search(text)
    if port is None or certificate is None:
        raise ValueError(f"{name} is not a kubeconfig in the format of K3s")
    return int(port["port"]), certificate["path"]


def internal_port(https_port: int, given: str = "") -> int:
    """Return the internal port of the API server; `given` is the value of `--apiserver-port`."""
    named = int(given) if given.isascii() and given.isdecimal() and len(given) <= 5 else 0
    return named or https_port + 1


def stale(found: Iterable[OwnKubeconfig], port: int) -> str | None:
    """Return why K3s would exit with these kubeconfigs and the internal `port`.

    Return None if K3s would keep running.
    """
    for one in found:
        if one.port != port:
            return f"{one.name} contains port {one.port}, but K3s's internal port is now {port}"
        if one.elsewhere:
            return f"{one.name} refers to {one.certificate}, which is not in this data directory"
    return None
