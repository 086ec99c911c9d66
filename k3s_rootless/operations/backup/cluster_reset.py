"""Let K3s write its etcd from a snapshot: one run of `k3s server --cluster-reset`, which exits.

The run is a transient unit of its own with the settings of the unit: the guard of a transaction
still prevents starts of the unit, and a reset of the machine leaves nothing that systemd could
start again. K3s enters its namespaces first, and then needs neither containerd nor cgroups (K3s
pkg/cli/server). The run can be repeated: K3s moves an earlier etcd away, and ignores that it has
already done a reset if there is a snapshot (pkg/cluster/managed.go).

Observed with v1.36.3: rootless K3s does the whole reset twice. After the server has exited with
status 0, the process that was its parent, rootlesskit's child, continues as a server. Its exit
status is not always 0, although it has finished, so that the files decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from k3s_rootless.backup import copies, etcd
from k3s_rootless.errors import RootlessError
from k3s_rootless.k3s import layout
from k3s_rootless.paths import UNIT
from k3s_rootless.service.unit import transient

if TYPE_CHECKING:
    from k3s_rootless.operations.context import Context
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.systemd.user import UserManager
    from k3s_rootless.service.unit.transient import Properties

RESET_UNIT = "k3s-rootless-cluster-reset.service"
SECONDS = 300.0
"""The least time limit: about 10 seconds are usual, and K3s reports no progress."""
_LEFT = re.compile(r"(?:etcd-old|tls)-(\d{9,11})", re.ASCII)
"""Copies that K3s makes of an earlier etcd and of its certificates, with their time."""
_MICROSECONDS = 1_000_000
_LOG = f"journalctl --user -u {RESET_UNIT}"


def run(context: Context, manager: UserManager, data: Path, snapshot: Path, seconds: float) -> None:
    """Write etcd in the data directory from a snapshot; an etcd that is there is removed.

    `seconds` limits the time, but not below `SECONDS`. K3s must be stopped. Raises RootlessError
    with the reason of K3s.
    """
    seconds = max(seconds, SECONDS)
    stop(manager)
    copies.remove(data / layout.ETCD)
    settings = _settings(manager.unit(UNIT), snapshot, seconds)
    try:
        state = manager.start_transient(RESET_UNIT, settings, seconds=seconds)
    except BaseException:
        with suppress(RootlessError):
            stop(manager)
        raise
    if not _is_written(data, snapshot):
        raise _failure(context, manager, state)
    stop(manager)
    for path in _copies_of_k3s(data, since=int(snapshot.stat().st_ctime)):
        copies.remove(path)


def stop(manager: UserManager) -> None:
    """Stop a run that an interrupted command has left. Raises RootlessError."""
    if not manager.unit(RESET_UNIT).at_rest:
        manager.stop(RESET_UNIT)
    # Also a K3s that was stopped counts as failed.
    if manager.unit(RESET_UNIT).failed:
        manager.reset_failed(RESET_UNIT)


def _settings(unit: UnitState, snapshot: Path, seconds: float) -> Properties:
    if not unit.argv:
        raise RootlessError("cannot restore the snapshot of etcd: the unit has no command")
    path = transient.literal(str(snapshot))
    argv = (*unit.argv, "--cluster-reset", f"--cluster-reset-restore-path={path}")
    return {
        **transient.inherited(unit),
        "Description": ("s", "k3s-rootless: K3s restores a snapshot of etcd"),
        "Type": ("s", "oneshot"),
        "ExecStart": transient.command(argv),
        # If this process is killed, systemd ends the run after this time.
        "TimeoutStartUSec": ("t", int(seconds * _MICROSECONDS)),
    }


def _copies_of_k3s(data: Path, since: int) -> Iterator[Path]:
    """Yield the copies from this time on: those of this transaction, also of earlier runs."""
    for name in (layout.DATASTORE, str(Path(layout.TLS).parent)):
        for path in (data / name).iterdir():
            found = _LEFT.fullmatch(path.name)
            if found is not None and int(found[1]) >= since:
                yield path


def _is_written(data: Path, snapshot: Path) -> bool:
    """Return whether K3s has written all of the snapshot, also if it was interrupted afterwards.

    A restore begins with an empty directory, and K3s writes the name of the member at its end (K3s
    ETCD.Reset). Later changes by etcd itself are safe at any point.
    """
    named = (data / layout.ETCD / "name").exists()
    if not named or not any((data / layout.ETCD_LOG).glob("*.wal")):
        return False
    try:
        return etcd.check_database(data / layout.ETCD_DATABASE) >= etcd.check_snapshot(snapshot)
    except RootlessError:
        return False


def _failure(context: Context, manager: UserManager, state: UnitState) -> RootlessError:
    why = "it did not write all of it"
    if state.failed:
        why = _cause(context, state) or f"its result is {state.result}"
    with suppress(RootlessError):
        stop(manager)
    return RootlessError(
        f"K3s cannot restore the snapshot of etcd: {why}", hint=f"read its log: {_LOG}"
    )


def _cause(context: Context, state: UnitState) -> str:
    """Return the first line that says why K3s exited; empty if it is not known."""
    # Imported here: loading takes 60 ms, which only a failure needs.
    from k3s_rootless.journal import diagnosis
    from k3s_rootless.journal.facts import Query
    from k3s_rootless.journal.sources import journald

    if not state.invocation:
        return ""
    try:
        query = Query(uid=context.uid, invocation=state.invocation)
        cause = diagnosis.first_cause(journald.collect(query, unit=RESET_UNIT))
    except RootlessError:
        return ""
    if cause is None:
        return ""
    return cause.line or cause.title
