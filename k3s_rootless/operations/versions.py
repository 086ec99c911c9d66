"""The versions of k3s-rootless, K3s and systemd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from k3s_rootless import __version__

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


def document(context: Context) -> dict[str, Any]:
    """Give the answer as JSON has it; says nothing."""
    from k3s_rootless.errors import RootlessError
    from k3s_rootless.k3s.unit_path import unit_search
    from k3s_rootless.observation import Known
    from k3s_rootless.preflight.probes import host

    binary = host.k3s_binary(context.environ, unit_search(), context.paths.home)
    k3s = binary.version.value.text if isinstance(binary.version, Known) else None
    try:
        with context.manager() as manager:
            systemd = manager.version
    except RootlessError:
        systemd = None
    return {
        "k3s_rootless": __version__,
        "k3s": k3s,
        "k3s_path": binary.path,
        "systemd": systemd,
        "errors": [],
    }
