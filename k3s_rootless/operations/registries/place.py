"""Find K3s's registries.yaml, which K3s reads in its mount namespace, and read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import user_file
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import namespace_paths
from k3s_rootless.node.registries import content
from k3s_rootless.node.registries.facts import Registries
from k3s_rootless.operations import node_files, server_settings
from k3s_rootless.paths import UNIT
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.user_file import UserFile

LARGEST = 1024 * 1024
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the file is on the host (`path`) and in K3s's namespaces (`inside`)."""

    path: Path
    inside: str
    state: UnitState
    settings: Settings
    release: Version | None

    @property
    def without_default(self) -> bool:
        """Whether a registry with mirrors is not requested itself."""
        return self.settings.switch("disable-default-registry-endpoint")

    def on_host(self, path: str) -> Path:
        """Return where a file that K3s sees as `path` is on the host."""
        return namespace_paths.on_host(path, self.settings.data)


def find(context: Context) -> Place:
    """Return where the running K3s has read the file, or its next start reads it.

    Raises RootlessError.
    """
    context.require_ordinary_user()
    state = context.unit(UNIT)
    settings = server_settings.of(context, state)
    flag = node_files.REGISTRIES
    text = settings.value(flag).text
    if not text.startswith("/"):
        raise RootlessError(
            f"cannot find registries.yaml: --{flag} is `{text}`, which is not an absolute path",
            hint=f"use an absolute path: see `{flag}` in k3s-rootless config list",
        )
    release = files.release_of(state.fragment)
    return Place(namespace_paths.on_host(text, settings.data), text, state, settings, release)


def read(context: Context, place: Place, action: str = "read") -> tuple[UserFile, Registries]:
    """Return the file and its content; both are empty if there is no file.

    Raises RootlessError; PreflightFailed if another user owns or could change the file.
    """
    file = user_file.read(place.path, context.uid, largest=LARGEST, action=action)
    return file, content.read(file.content, place.release)


def restart_needed(place: Place) -> str:
    """Return why a restart is required; empty if K3s has read the file as it is."""
    return node_files.newer(place.state, place.path)
