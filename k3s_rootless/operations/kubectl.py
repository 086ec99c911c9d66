"""The kubectl of K3s, with everything that it needs given explicitly."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless import command, trust
from k3s_rootless.errors import NotRunning, RootlessError
from k3s_rootless.k3s import config_file, features
from k3s_rootless.operations import installed
from k3s_rootless.service.observe import files

if TYPE_CHECKING:
    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_DATA_DIR = "K3S_DATA_DIR"
_KUBECONFIG = "KUBECONFIG"


@dataclass(frozen=True, slots=True)
class Program:
    """A command line and its environment."""

    argv: tuple[str, ...]
    environ: Mapping[str, str]


def replace(context: Context, arguments: Sequence[str]) -> None:
    """Replace this process by kubectl; returns only if it raises an error of `program`."""
    found = program(context, arguments)
    command.replace(found.argv, found.environ)


def program(context: Context, arguments: Sequence[str]) -> Program:
    """Return the command that runs kubectl on this cluster.

    Raises NotRunning if K3s is not installed or has no kubeconfig yet, RootlessError.
    """
    context.require_ordinary_user()
    state, settings = installed.settings(context)
    _require_own(context, settings.kubeconfig)
    if not state.running:
        context.notice("K3s is not running; start it with: k3s-rootless up")
    return Program(
        (_binary(state), "kubectl", *arguments), _environ(context.environ, state, settings)
    )


def _environ(
    inherited: Mapping[str, str], state: UnitState, settings: Settings
) -> Mapping[str, str]:
    """Return the environment of kubectl.

    The k3s binary looks for its data directory, where kubectl is unpacked, in its configuration
    file. Without the variables, this would be the file of an administrator's K3s.
    """
    environ = {**inherited, _KUBECONFIG: str(settings.kubeconfig)}
    for name in (config_file.VARIABLE, _DATA_DIR):
        environ.pop(name, None)
    if settings.config != config_file.DEFAULT:
        # Older releases refuse a variable that names a file that does not exist, and the default
        # file usually does not.
        environ[config_file.VARIABLE] = settings.config
    release = files.release_of(state.fragment)
    if release is not None and features.DATA_DIR_VARIABLE.holds(release):
        environ[_DATA_DIR] = str(settings.data)
    return environ


def _binary(state: UnitState) -> str:
    binary = next(iter(state.argv), "")
    if not binary.startswith("/") or not os.access(binary, os.X_OK):
        raise RootlessError(
            f"cannot run the k3s of the unit, `{binary}`: it is not a program",
            hint="find a k3s and update the unit with: k3s-rootless up",
        )
    risk = trust.risk(Path(binary))
    if risk:
        raise RootlessError(f"cannot run `{binary}`: it is not trusted because {risk}")
    return binary


def _require_own(context: Context, kubeconfig: Path) -> None:
    """Raise an error if the kubeconfig is missing, or belongs to another user."""
    try:
        owner = kubeconfig.stat().st_uid
    except FileNotFoundError:
        raise NotRunning(
            f"cannot use the kubeconfig `{kubeconfig}`: it does not exist",
            hint="K3s writes it at each start: k3s-rootless up, or k3s-rootless restart",
        ) from None
    if owner != context.uid:
        raise RootlessError(
            f"cannot use the kubeconfig `{kubeconfig}`: it belongs to uid {owner}, not to uid"
            f" {context.uid}"
        )
