"""Decide whether the next start of K3s needs new certificates, and which command renews them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from k3s_rootless.k3s import config_file, issued
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import server_settings, unit_environment
from k3s_rootless.service.environment import precedence
from k3s_rootless.service.observe import own_kubeconfigs
from k3s_rootless.service.plan.steps import RotateCertificates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from k3s_rootless.k3s.settings import Settings
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState

_COMMAND = ("certificate", "rotate")


def needed(
    context: Context, inherited: Mapping[str, str], state: UnitState, binary: str = ""
) -> RotateCertificates | None:
    """Return the step that the next start of the unit needs in order not to fail, or None.

    `inherited` is the environment that the user manager passes to each unit. `binary` is the k3s to
    run; by default, the k3s of the unit.
    """
    settings = server_settings.of_next_start(context, state, inherited)
    if settings.problems:
        return None  # each setting may have another value; `check` shows what cannot be read
    found = own_kubeconfigs.read(settings.data, context.uid)
    if isinstance(found, Unknown):
        context.notice(f"cannot read K3s's own kubeconfigs: {found.reason}")
        return None
    port = issued.internal_port(settings.https_port, settings.value("apiserver-port").text)
    cause = issued.stale(found.value, port)
    program = binary or next(iter(state.argv), "")
    if cause is None or not program.startswith("/"):
        return None
    return step(inherited, state, settings, (program, *_COMMAND), cause)


def step(
    inherited: Mapping[str, str],
    state: UnitState,
    settings: Settings,
    words: Sequence[str],
    cause: str,
) -> RotateCertificates:
    """Return the step that runs `words`, a `k3s certificate rotate`, for the unit's K3s."""
    sources = unit_environment.sources(inherited, state)
    resolved = {name: precedence.resolve(name, sources).value for name in sources.names()}
    environ = {name: value for name, value in resolved.items() if value is not None}

    return RotateCertificates(
        unit=state.name,
        argv=(*words, "--data-dir", str(settings.data)),
        # K3s looks for the file in its environment only for this command.
        environ={**environ, config_file.VARIABLE: settings.config},
        state=settings.rootlesskit_state,
        cause=cause,
    )
