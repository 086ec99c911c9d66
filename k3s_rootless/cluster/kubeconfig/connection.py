"""The verified connection to the API server that K3s's credentials describe."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from k3s_rootless.cluster.facts import Kubeconfig
from k3s_rootless.cluster.kubeconfig.read import RESTART
from k3s_rootless.errors import RootlessError
from k3s_rootless.rest import TlsPeer

if TYPE_CHECKING:
    # Lazy: this import takes 6 ms, and not every kubeconfig is used for a connection.
    import ssl

    from k3s_rootless.cluster.facts import Credentials


def peer(credentials: Credentials) -> TlsPeer:
    """Return the API server, verified by the authority of the credentials alone.

    Raises RootlessError.
    """
    return TlsPeer(credentials.host, credentials.port, context(credentials))


def context(credentials: Credentials) -> ssl.SSLContext:
    """Return the TLS context that verifies the API server and presents the client certificate.

    Raises RootlessError for damaged certificates.
    """
    # Lazy: this import takes 6 ms, and not every kubeconfig is used for a connection.
    import ssl

    built = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Go trusts each certificate of its pool by itself. By default, OpenSSL requires a self-signed
    # root. K3s supports the user's own authorities, and their file can hold an intermediate
    # certificate only (K3s's documentation, "Using Custom CA Certificates").
    built.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        built.load_verify_locations(cadata=credentials.authority.decode("ascii"))
        _load_pair(built, credentials)
    except (ssl.SSLError, ValueError) as error:
        what = "K3s's own credentials in"
        if isinstance(credentials, Kubeconfig):
            what = "the kubeconfig"
        raise RootlessError(
            f"cannot use {what} {credentials.path}: invalid certificates or key",
            hint=RESTART,
        ) from error
    return built


def _load_pair(built: ssl.SSLContext, credentials: Credentials) -> None:
    # `load_cert_chain` takes files only. A file in memory keeps the key off the disk, and
    # disappears when its descriptor is closed.
    descriptor = os.memfd_create("k3s-rootless-client", os.MFD_CLOEXEC)
    with open(descriptor, "wb") as pair:  # noqa: PTH123 (a descriptor has no path)
        pair.write(credentials.certificate.rstrip() + b"\n" + credentials.key)
        pair.flush()
        # Without this password, OpenSSL would prompt for one at the terminal if the key is
        # encrypted.
        built.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
