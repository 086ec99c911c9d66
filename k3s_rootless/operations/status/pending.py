"""Find the changes that are configured but not in effect yet."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from k3s_rootless.cluster.certificates import due
from k3s_rootless.cluster.kubeconfig.facts import NAME
from k3s_rootless.k3s import certificates
from k3s_rootless.observation import Known, value_or
from k3s_rootless.service.drop_ins import drop_in, environment
from k3s_rootless.service.unit import pending_changes
from k3s_rootless.service.unit.pending_changes import Pending

if TYPE_CHECKING:
    from k3s_rootless.cluster.certificates.facts import End
    from k3s_rootless.operations.status.model import Snapshot
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.unit.pending_changes import Part

_RESTART = "k3s-rootless restart"
_NEW_AUTHORITIES = "k3s-rootless certs rotate-ca --path DIRECTORY"
_MERGE = "k3s-rootless kubeconfig merge"
_COMMANDS = {"restart": "k3s-rootless down, and then `k3s-rootless run` again"}
"""How to apply changes to a K3s in the foreground, which cannot be restarted."""


def of(snapshot: Snapshot, changed: datetime | None, *, as_started: bool) -> tuple[Pending, ...]:
    """Return the changes that are not in effect yet, in the order in which to apply them.

    `changed` is when the unit or a drop-in was last written, added or removed. `as_started` is True
    if K3s is known to run with the current files of its unit.
    """
    found = (
        *_of_files(snapshot, changed, as_started=as_started),
        *_of_settings(snapshot),
        *_of_node_files(snapshot),
        *_of_release(snapshot),
        *_of_copies(snapshot),
        *_of_certificates(snapshot),
    )
    if snapshot.state is None or not snapshot.state.in_foreground:
        return found
    return tuple(replace(one, command=_COMMANDS.get(one.what, one.command)) for one in found)


def _of_files(
    snapshot: Snapshot, changed: datetime | None, *, as_started: bool
) -> tuple[Pending, ...]:
    if snapshot.state is None:
        return ()
    variables = value_or(snapshot.variables, ())
    found = pending_changes.pending(
        snapshot.state, _files(snapshot, as_started=as_started), variables
    )
    if as_started or any(one.what == "restart" for one in found):
        return found
    return (*found, *_of_removed_drop_in(snapshot.state, changed))


def _files(snapshot: Snapshot, *, as_started: bool) -> tuple[Part, ...]:
    if as_started:
        return ()
    files = value_or(snapshot.files, ())
    if not isinstance(snapshot.variables, Known):
        return files
    # The environment of the process is more precise than the time of the drop-in that sets it.
    ours = drop_in.name(environment.SUBJECT)
    return tuple(file for file in files if file.path.name != ours)


def _of_removed_drop_in(state: UnitState, changed: datetime | None) -> Iterator[Pending]:
    # A removed drop-in changes only the time of its directory.
    if state.fragment is None:
        return
    cause = drop_in.restart_pending(state, changed)
    if cause is not None:
        yield Pending("restart", cause, _RESTART)


def _of_settings(snapshot: Snapshot) -> Iterator[Pending]:
    if snapshot.settings.outdated:
        yield Pending("restart", snapshot.settings.outdated, _RESTART)


def _of_node_files(snapshot: Snapshot) -> Iterator[Pending]:
    if snapshot.node_files:
        yield Pending("restart", snapshot.node_files, _RESTART)


def _of_copies(snapshot: Snapshot) -> Iterator[Pending]:
    for one in snapshot.stale_copies:
        command = f"{_MERGE} --into {shlex.quote(str(one.file))}"
        if one.name != NAME:
            command += f" --context {shlex.quote(one.name)}"
        own = snapshot.settings.kubeconfig
        cause = f"{one.file} has other certificates or another server than {own}"
        yield Pending("merge", cause, command)


def _of_certificates(snapshot: Snapshot) -> Iterator[Pending]:
    ends = value_or(snapshot.certificate_ends, None)
    if ends is None:
        return
    running = snapshot.state is not None and snapshot.state.running
    if running and ends.saved is not None:
        cause = f"the certificates were rotated while K3s was running ({ends.saved} exists)"
        yield Pending("restart", cause, _RESTART)
    elif running:
        days = certificates.window_days(snapshot.version)
        leaves = due.leaves(ends.files, days, snapshot.time)
        if leaves:
            yield Pending("certificates", _ending(leaves, snapshot.time), _RESTART)
    authorities = due.authorities(ends.files, snapshot.time)
    if authorities:
        yield Pending("authorities", _ending(authorities, snapshot.time), _NEW_AUTHORITIES)


def _ending(found: Sequence[End], now: datetime) -> str:
    """Return a sentence about the first certificate that ends, and how many there are."""
    first = found[0]
    word = "ends"
    end = value_or(first.ends, now)
    if end <= now:
        word = "has ended"
    text = f"the certificate {first.name} {word} on {end:%Y-%m-%d}"
    if len(found) > 1:
        text += f" ({len(found)} in all)"
    return text


def _of_release(snapshot: Snapshot) -> Iterator[Pending]:
    if not isinstance(snapshot.installed, Known):
        return
    installed, running = snapshot.installed.value, snapshot.running_release
    version = snapshot.version
    if running and running != installed:
        cause = f"K3s {running} is running, but {installed} is installed"
        yield Pending("restart", cause, "k3s-rootless up --restart")
    elif version and str(version) != installed:
        cause = f"the unit was written for K3s {version}, but {installed} is installed"
        yield Pending("up", cause, "k3s-rootless up")
