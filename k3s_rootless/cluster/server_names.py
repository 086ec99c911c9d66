"""The names in the certificate of the API server, and whether one of them is a host's."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING

from k3s_rootless.cluster.kubeconfig import connection
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known, Observed, Unknown

if TYPE_CHECKING:
    from k3s_rootless.cluster.facts import Credentials


def read(credentials: Credentials, seconds: float) -> Observed[tuple[str, ...]]:
    """Return the DNS names and addresses in the certificate that the API server sends.

    The connection is verified, and names the address in the credentials: releases without
    --tls-san-security add every name to their certificate that a client connects to.
    """
    address = (credentials.host, credentials.port)
    try:
        verified = connection.context(credentials)
        with (
            socket.create_connection(address, timeout=seconds) as plain,
            verified.wrap_socket(plain, server_hostname=credentials.host) as secured,
        ):
            found = (secured.getpeercert() or {}).get("subjectAltName", ())
    except RootlessError as error:
        return Unknown(error.message)
    except ssl.SSLError as error:
        return Unknown(f"TLS with {credentials.host}:{credentials.port} failed: {error.reason}")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        return Unknown(f"cannot connect to {credentials.host}:{credentials.port}: {reason}")
    # Pairs of a kind and a value, which the standard library does not describe.
    names = tuple(str(pair[1]) for pair in found)
    return Known(names, "the certificate of the API server")


def has(names: Sequence[str], host: str) -> bool:
    """Return whether a certificate with these names is valid for a host name or an address."""
    address = _address(host)
    if address is not None:
        return address in map(_address, names)
    wanted = host.lower().rstrip(".")
    # A wildcard matches exactly one label (RFC 6125, 6.4.3).
    wildcard = "*." + wanted.partition(".")[2]
    return any(name.lower() in {wanted, wildcard} for name in names)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
