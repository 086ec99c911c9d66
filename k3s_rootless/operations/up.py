"""Start K3s: check the host, install and start the unit, and wait until K3s is ready.

This module loads few others, so that the checks of the host begin early; see `preload`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.operations import first_start, installation, k3s_search
from k3s_rootless.operations.backup import unfinished
from k3s_rootless.operations.check import checking
from k3s_rootless.operations.consent import Ask
from k3s_rootless.operations.launch import perform
from k3s_rootless.operations.launch.started import Started
from k3s_rootless.service.plan.steps import Reload

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.launch.sequence import Plan
    from k3s_rootless.preflight.facts import Facts
    from k3s_rootless.service.facts import ControllerReach, UnitState
    from k3s_rootless.service.systemd.user import UserManager


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `up`.

    `ignored` names checks that may fail, `force` replaces files that were edited, `restart` allows
    a restart of a running K3s, `unit_file` is a unit to adopt. `timeout` (seconds) limits the wait
    for the phase with the key `until`; None means no wait. `get` is a release or a channel to
    download first; empty for the stable release, if there is no k3s; None for no download. `asks`
    is true if a user can answer whether to download it.
    """

    ignored: tuple[str, ...] = ()
    force: bool = False
    restart: bool = False
    unit_file: Path | None = None
    timeout: float | None = None
    until: str = "node"
    get: str | None = None
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Host:
    """The facts of the host, and the directory of the user's units.

    `state` is the unit if systemd has loaded its current files; otherwise None.
    """

    directory: Path
    state: UnitState | None
    facts: Facts
    reach: ControllerReach


def plan(context: Context, request: Request) -> Plan:
    """Return what `up` would do now.

    Raises UsageError for an unknown check, PreflightFailed if the host is not ready, WouldOverwrite
    for a unit that was edited, RootlessError.
    """
    unfinished.require_no_rotation(context)
    if record := unfinished.continued_by_up(context):
        context.notice(f"`up` first continues or undoes the interrupted {record.name}")
    with checking.begin(context, request.ignored) as checks, context.manager() as manager:
        directory = first_start.unit_directory(manager, context.paths)
        facts, reach = checks.finish(manager, load=preload)
        host = Host(directory, None, facts, reach)
        found: Plan = preload().plan(context, manager, request, host)
    return found


def up(context: Context, request: Request, ask: Ask) -> Started:
    """Install and start K3s.

    `ask` asks the user whether a running K3s may be restarted, and whether to download K3s. An
    interrupted upgrade or rollback is continued or undone first.

    Raises the errors of `plan`; UsageError or RootlessError if a restart is not confirmed;
    NotReady, or RootlessError with the cause, if K3s does not become ready.
    """
    begun = time.monotonic()
    unfinished.require_no_rotation(context)
    if context.paths.transaction.exists():
        # Imported here, because hardly any run finds an interrupted upgrade.
        from k3s_rootless.operations.upgrade import resume

        resume.before_start(context, request.timeout)
    _bring_k3s(context, request, ask)
    with checking.begin(context, request.ignored) as checks, context.manager() as manager:
        directory = first_start.unit_directory(manager, context.paths)
        state = _reloaded(context, manager, directory)
        facts, reach = checks.finish(manager, unit_state=state, load=preload)
        host = Host(directory, state, facts, reach)
        steps, reached, restart, written = preload().up(context, manager, request, host, ask)
    return Started(steps, time.monotonic() - begun, reached, restart, written)


def _bring_k3s(context: Context, request: Request, ask: Ask) -> None:
    """Download K3s on request, or after a question if there is no k3s."""
    offered = request.asks and k3s_search.located(context).path is None
    if request.get is None and not offered:
        return
    # Imported here: loading takes 60 ms, and few runs download K3s.
    from k3s_rootless.operations.releases import first

    if request.get is None:
        first.offer(context, ask)
    else:
        first.bring(context, request.get)


def preload() -> ModuleType:
    """Import the module that runs after the checks of the host, and return it.

    It is imported in a thread while the probes of the host wait. If it were imported in the main
    thread, an `up` that changes nothing would take 10 % longer.
    """
    from k3s_rootless.operations.check import selection  # noqa: F401 (needed first)
    from k3s_rootless.operations.launch import sequence

    return sequence


def _reloaded(context: Context, manager: UserManager, directory: Path) -> UnitState | None:
    """Reload the unit if its files changed; return the unit if they did not, otherwise None.

    The checks use the unit as systemd has loaded it, and the user may have fixed a file since then.
    """
    state = installation.observed(manager, directory)
    if not state.needs_reload:
        return state
    perform.step(context, manager, Reload("the unit or a drop-in changed after systemd read it"))
    return None
