"""Bring K3s up: check the host, install and start the unit, wait until K3s is ready.

Light, so that k3s prints its version while Python loads the rest; see `preload`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from k3s_rootless.operations.check import checking

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from k3s_rootless.operations.context import Context
    from k3s_rootless.operations.launch.sequence import Plan, Started

Confirm = Callable[[str], bool | None]
"""Asks the user a question; returns None if there is no user to ask."""


@dataclass(frozen=True, slots=True)
class Request:
    """What `up` is asked for.

    `ignored` names checks that may fail, `force` replaces files that were edited, `restart` allows
    a restart of a running K3s, `unit_file` is a unit to adopt. `timeout` (seconds) limits the wait
    for the phase of the key `until`; None is no wait.
    """

    ignored: tuple[str, ...] = ()
    force: bool = False
    restart: bool = False
    unit_file: Path | None = None
    timeout: float | None = None
    until: str = "node"


def plan(context: Context, request: Request) -> Plan:
    """Return what `up` would do now.

    Raises UsageError for an unknown check, PreflightFailed if the host is not ready, WouldOverwrite
    for a unit that was edited, RootlessError.
    """
    with checking.begin(context, request.ignored) as examination:
        found: Plan = preload().plan(context, request, examination)
    return found


def up(context: Context, request: Request, confirm: Confirm) -> Started:
    """Bring K3s up. `confirm` asks whether a running K3s may restart.

    Raises as `plan`; UsageError or RootlessError if a restart is not confirmed; NotReady, or
    RootlessError with the cause, if K3s does not become ready.
    """
    begun = time.monotonic()
    with checking.begin(context, request.ignored) as examination:
        started: Started = preload().up(context, request, examination, confirm, begun)
    return started


def preload() -> ModuleType:
    """Load what follows the checks, and return it.

    k3s takes about 200 ms to print its version. To load this meanwhile saves 90 ms of an `up` that
    has nothing to do.
    """
    from k3s_rootless.operations.launch import sequence

    return sequence
