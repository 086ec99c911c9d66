"""The versions of k3s-rootless, K3s and systemd."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from k3s_rootless import __version__
from k3s_rootless.errors import RootlessError
from k3s_rootless.observation import Known
from k3s_rootless.operations import k3s_search

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context


@dataclass(frozen=True, slots=True)
class Versions:
    """The version of K3s, the path of its binary, and the version of systemd; None if unknown."""

    k3s: str | None
    k3s_path: str | None
    systemd: str | None


def read(context: Context) -> Versions:
    """Read the versions: run k3s, and query the user manager."""
    binary = k3s_search.found(context)
    k3s = None
    if isinstance(binary.version, Known):
        k3s = binary.version.value.text
    return Versions(k3s, binary.path, _systemd(context))


def document(found: Versions) -> dict[str, Any]:
    """Return the JSON form of the versions."""
    return {
        "k3s_rootless": __version__,
        "k3s": found.k3s,
        "k3s_path": found.k3s_path,
        "systemd": found.systemd,
        "errors": [],
    }


def _systemd(context: Context) -> str | None:
    try:
        with context.manager() as manager:
            return manager.version
    except RootlessError:
        return None
