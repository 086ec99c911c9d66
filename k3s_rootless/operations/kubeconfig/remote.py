"""The address of the API server for another machine, checked against the certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.cluster import server_names
from k3s_rootless.errors import NotRunning, RootlessError, UsageError
from k3s_rootless.k3s import host_name
from k3s_rootless.observation import Unknown
from k3s_rootless.printable import printable

if TYPE_CHECKING:
    from k3s_rootless.cluster.facts import Kubeconfig
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

SECONDS = 5.0


def server(
    context: Context, host: str, state: UnitState, settings: Settings, found: Kubeconfig
) -> str:
    """Return the URL of the API server at a host name or an address.

    Raises UsageError for a text that is neither, NotRunning if K3s does not run, RootlessError if
    the certificate does not have the name.
    """
    url = _url(host, found.port)
    if not state.running:
        raise NotRunning(
            f"cannot check whether the certificate of the API server has the name `{host}`: K3s is"
            " not running",
            hint="start it with: k3s-rootless up",
        )
    names = server_names.read(found, SECONDS)
    if isinstance(names, Unknown):
        raise RootlessError(
            f"cannot check whether the certificate of the API server has the name `{host}`:"
            f" {names.reason}",
            hint="check whether K3s is ready with: k3s-rootless status",
        )
    if not server_names.has(names.value, host):
        raise _missing(context, host, settings, found.port)
    return url


def _missing(context: Context, host: str, settings: Settings, port: int) -> RootlessError:
    wanted = ",".join(dict.fromkeys((*settings.words("tls-san"), host)))
    return RootlessError(
        f"cannot use `{host}`: the certificate of the API server does not have this name",
        hint=(
            f"add the name: k3s-rootless config set tls-san {wanted} && k3s-rootless restart; or"
            f" use the kubeconfig without --host through a tunnel, on the other machine: ssh -N -L"
            f" {port}:127.0.0.1:{port} {context.user}@{host}"
        ),
    )


def _url(host: str, port: int) -> str:
    if not host_name.is_host(host):
        raise UsageError(
            f"cannot use `{printable(host)}` as a host: it is neither a host name nor an address"
        )
    if ":" in host:
        return f"https://[{host}]:{port}"
    return f"https://{host.lower()}:{port}"
