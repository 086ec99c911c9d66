"""The versions of k3s-rootless, K3s and systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless import __version__
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s.unit_path import unit_search
from k3s_rootless.observation import Known
from k3s_rootless.preflight.probes import host

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


def document(context: Context) -> dict[str, Any]:
    """Return the versions as JSON has them; None for what cannot be read."""
    binary = host.k3s_binary(context.environ, unit_search(), context.paths.home)
    k3s: str | None = None
    if isinstance(binary.version, Known):
        k3s = binary.version.value.text
    try:
        with context.manager() as manager:
            systemd: str | None = manager.version
    except RootlessError:
        systemd = None
    return {
        "k3s_rootless": __version__,
        "k3s": k3s,
        "k3s_path": binary.path,
        "systemd": systemd,
        "errors": [],
    }
