"""Show K3s's kubeconfig under a name of its own, and where it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.cluster.kubeconfig import k3s_form
from k3s_rootless.cluster.kubeconfig.facts import NAME, Entries
from k3s_rootless.operations import installed
from k3s_rootless.operations.kubeconfig import source

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context

_REMOVED = "DATA+OMITTED"
"""What kubectl prints in place of certificates and keys (client-go, api.ShortenConfig)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """The entries of K3s's kubeconfig; without `raw`, certificates and key are removed."""

    path: Path
    entries: Entries
    raw: bool

    @property
    def text(self) -> str:
        """The entries as a kubeconfig."""
        return k3s_form.render(self.entries)


@dataclass(frozen=True, slots=True)
class Located:
    """The path of the kubeconfig that K3s writes."""

    path: Path
    exists: bool


def show(context: Context, *, raw: bool, host: str | None = None, name: str = NAME) -> Shown:
    """Return the kubeconfig of K3s; `host` is the name of this host for another machine.

    Raises NotRunning if there is none, UsageError for a host name that is none, RootlessError if
    the certificate of the API server does not have the host name.
    """
    state, settings = installed.settings(context)
    found = source.load(context, settings.kubeconfig)
    server = ""
    if host is not None:
        # Imported here: a connection needs TLS, which takes 20 ms to load.
        from k3s_rootless.operations.kubeconfig import remote

        server = remote.server(context, host, state, settings, found)
    entries = source.entries(found, name, server)
    if not raw:
        entries = redacted(entries)
    return Shown(settings.kubeconfig, entries, raw)


def redacted(entries: Entries) -> Entries:
    """Return the entries without certificates and key."""
    return replace(entries, authority=_REMOVED, certificate=_REMOVED, key=_REMOVED)


def locate(context: Context) -> Located:
    """Return the path of K3s's kubeconfig. Raises NotRunning, RootlessError."""
    _, settings = installed.settings(context)
    return Located(settings.kubeconfig, settings.kubeconfig.exists())
