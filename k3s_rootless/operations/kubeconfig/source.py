"""The kubeconfig that K3s writes, and its entries under a name of their own."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from k3s_rootless.cluster.kubeconfig import read
from k3s_rootless.cluster.kubeconfig.facts import Entries
from k3s_rootless.errors import NotRunning, UsageError
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from pathlib import Path

    from k3s_rootless.cluster.facts import Kubeconfig
    from k3s_rootless.operations.context import Context

_LONGEST_NAME = 200


def load(context: Context, path: Path) -> Kubeconfig:
    """Read K3s's kubeconfig. Raises NotRunning if K3s has not written it, RootlessError."""
    if not path.exists():
        raise NotRunning(
            f"cannot read the kubeconfig `{path}`: it does not exist",
            hint="K3s writes it at each start: k3s-rootless up, or k3s-rootless restart",
        )
    return read.load(path, uid=context.uid)


def entries(found: Kubeconfig, name: str, server: str = "") -> Entries:
    """Return the entries of a kubeconfig under a name; `server` replaces the address in it.

    Raises UsageError for a name that cannot be used.
    """
    if not name or not name.isprintable() or name.startswith("-") or len(name) > _LONGEST_NAME:
        raise UsageError(f"cannot use `{printable(name)}` as the name of a context")
    return Entries(
        name,
        server or found.server,
        *map(_encoded, (found.authority, found.certificate, found.key)),
    )


def _encoded(pem: bytes) -> str:
    return base64.b64encode(pem).decode("ascii")
