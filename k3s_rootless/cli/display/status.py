"""Show the result of `status` as one screen of text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from k3s_rootless import byte_size
from k3s_rootless.observation import Known, value_or
from k3s_rootless.operations.readiness import phases

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.status.model import Loop, Snapshot
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.unit.pending_changes import Pending

_SHORT = {
    phases.NAMESPACE_MADE: "namespace",
    phases.SOCKET_MADE: "API socket",
    phases.KUBECONFIG_WRITTEN: "kubeconfig",
    phases.NODE_READY: "node ready",
}
_ACTIONS = {
    "authorities": "replacement of a certificate authority",
    "certificates": "renewal of certificates",
    "merge": "refresh of a kubeconfig",
    "reload": "reload",
    "restart": "restart",
    "up": "update of the unit",
}
LABEL = 13
"""Columns before the text of a line."""
_NO_AGENT = "none: K3s runs without its agent (disable-agent), so it runs no Pods"
_SOON = timedelta(days=30)


def lines(snapshot: Snapshot) -> Iterator[str]:
    """Yield the lines of the screen, the most important first, without empty ones."""
    yield f"K3s          {headline(snapshot)}"
    yield from _unit(snapshot)
    yield f"release      {_release(snapshot)}"
    if snapshot.may_run:
        yield from _running(snapshot)
    yield from _kubeconfig(snapshot)
    yield from _certificates(snapshot)
    yield from _lingering(snapshot)
    yield from _backup(snapshot)
    yield from _unfinished(snapshot)
    for line in snapshot.drift:
        yield f"drift        {line}"
    for one in snapshot.pending:
        yield f"pending      {required(one)}; apply it with: {one.command}"
    yield from _unknown(snapshot)


def headline(snapshot: Snapshot) -> str:
    """Return the state of K3s, and why it is not ready, with the phase of its start."""
    missing = snapshot.missing
    if missing is None:
        return snapshot.overall_state
    return f"{snapshot.overall_state}: {missing.reason} (phase: {missing.phase})"


def required(one: Pending) -> str:
    """Return the action that a pending change requires, and why."""
    return f"{_ACTIONS.get(one.what, one.what)} required: {one.cause}"


def _unit(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.state is not None:
        yield _state(snapshot, snapshot.state)
        yield f"restarts     {_restarts(snapshot, snapshot.state)}"
        yield from _cause(snapshot.failure_cause)
    elif isinstance(snapshot.kit, Known):
        child = snapshot.kit.value.child_pid
        yield f"processes    rootlesskit is running; its child is PID {child}"


def _state(snapshot: Snapshot, state: UnitState) -> str:
    since = state.started if state.running else state.changed
    enabled = state.file_state or "not enabled"
    if state.in_foreground:
        enabled = "in the foreground (k3s-rootless run)"
    line = f"unit         {state.active_state} ({state.sub_state}), {enabled}"
    line += _since(since, snapshot.time)
    if state.result != "success":
        line += f", last result {state.result}"
    return line


def _restarts(snapshot: Snapshot, state: UnitState) -> str:
    loop = snapshot.loop
    if loop is None:
        return str(state.restarts)
    text = f"{loop.restarts}, restart loop{_every(loop)}"
    if not loop.over:
        return text
    if state.active_state == "failed":
        return f"{text}; systemd no longer restarts K3s"
    return f"{text}; K3s has been running since then"


def _every(loop: Loop) -> str:
    if not loop.period:
        return ""
    return f", every {_length(loop.period)}"


def _cause(cause: Cause | None) -> Iterator[str]:
    if cause is None:
        return
    check = ""
    if cause.id != "unknown":
        check = f" ({cause.check or cause.id})"
    label = "cause        "
    if cause.earlier:
        label = "earlier      the previous start failed: "
    yield f"{label}{cause.title}{check}"
    if cause.line:
        yield f"             {cause.line}"
    yield "             how to fix it: k3s-rootless diagnose"


def _release(snapshot: Snapshot) -> str:
    releases = {
        "running": snapshot.running_release or "",
        "installed": value_or(snapshot.installed, ""),
        "unit written for": "" if snapshot.version is None else str(snapshot.version),
    }
    known = {what: release for what, release in releases.items() if release}
    different = set(known.values())
    if len(different) < 2:
        return next(iter(different), "unknown")
    return ", ".join(f"{what} {release}" for what, release in known.items())


def _running(snapshot: Snapshot) -> Iterator[str]:
    yield from _start(snapshot)
    if snapshot.settings.agentless:
        yield f"node         {_NO_AGENT}"
    node = snapshot.ready_node
    if node is not None:
        yield f"node         {node.name}, ready{_since(node.since, snapshot.time)}"
    yield from _memory(snapshot)
    yield from _cpu(snapshot)
    if isinstance(snapshot.kit, Known):
        yield f"forwards     {len(snapshot.kit.value.forwards)} (details: k3s-rootless ports)"


def _start(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.state is None or snapshot.state.started is None:
        return
    started = snapshot.state.started
    reached = [
        f"{_SHORT[one.name]} {(one.time - started).total_seconds():.1f} s"
        for one in snapshot.milestones
        if one.time and one.name in _SHORT
    ]
    if reached:
        yield f"start        {', '.join(reached)}"


def _memory(snapshot: Snapshot) -> Iterator[str]:
    usage = snapshot.usage
    if usage.memory is None:
        return
    line = f"memory       {byte_size.text(usage.memory)}"
    if usage.memory_peak is not None:
        line += f", peak {byte_size.text(usage.memory_peak)}"
    if usage.memory_limit is not None:
        line += f", limit {byte_size.text(usage.memory_limit)}"
    yield line


def _cpu(snapshot: Snapshot) -> Iterator[str]:
    usage = snapshot.usage
    if usage.cpu is None:
        return
    line = f"cpu          {usage.cpu:.1f} s"
    if snapshot.state is not None and snapshot.state.started is not None:
        seconds = (snapshot.time - snapshot.state.started).total_seconds()
        if seconds > 1:
            line += f", {usage.cpu / seconds:.1%} of one CPU since the start"
    if usage.cpu_limit:
        line += f", limit {usage.cpu_limit:g} CPUs"
    yield line


def _kubeconfig(snapshot: Snapshot) -> Iterator[str]:
    if not isinstance(snapshot.kubeconfig, Known):
        if snapshot.ready_without_kubeconfig:
            reason = snapshot.kubeconfig.reason
            yield f"kubeconfig   {reason}; a restart writes it again: k3s-rootless restart"
        return
    found = snapshot.kubeconfig.value
    age = _length((snapshot.time - found.modified).total_seconds())
    line = f"kubeconfig   {found.path}, {age} old, mode {found.mode:04o}"
    if found.mode & 0o077:
        line += ", readable by other users"
    if snapshot.stale_kubeconfig:
        line += ", written by an earlier start"
    yield line


def _certificates(snapshot: Snapshot) -> Iterator[str]:
    if not isinstance(snapshot.kubeconfig, Known):
        return
    ends = [
        f"{one.owner} {_until(one.until.value, snapshot.time)}"
        for one in snapshot.certificates
        if isinstance(one.until, Known)
    ]
    if ends:
        yield f"certificates {', '.join(ends)}"


def _until(end: datetime, now: datetime) -> str:
    day = f"{end:%Y-%m-%d}"
    if end <= now:
        return f"expired on {day}"
    if end - now < _SOON:
        return f"valid until {day} (in {_length((end - now).total_seconds())})"
    return f"valid until {day}"


def _lingering(snapshot: Snapshot) -> Iterator[str]:
    lingers = value_or(snapshot.lingers, None)
    if lingers is None:
        return
    if lingers:
        yield "linger       on"
    else:
        yield "linger       off: K3s stops when your last session ends"


def _backup(snapshot: Snapshot) -> Iterator[str]:
    found = value_or(snapshot.backups, None)
    if found is None or (found.last is None and found.every is None):
        return
    line = "none yet"
    if found.last is not None:
        line = f"{_length((snapshot.time - found.last).total_seconds())} old"
    if found.every is not None:
        line += f", scheduled {found.every}"
    yield f"backup       {line}"
    if found.problem:
        yield f"             {found.problem}"


def _unfinished(snapshot: Snapshot) -> Iterator[str]:
    found = value_or(snapshot.unfinished, None)
    if found is None:
        return
    yield f"unfinished   {found.problem}"
    for does, command in found.commands:
        yield f"             {does}: {command}"


def _unknown(snapshot: Snapshot) -> Iterator[str]:
    # The first line already shows why K3s is not ready, and the error why the query failed.
    shown = {"unit"}
    if snapshot.ready_without_kubeconfig:
        shown.add("kubeconfig")
    missing = snapshot.missing
    for part, reason in snapshot.unknown:
        if part in shown or (missing is not None and reason == missing.reason):
            continue
        yield f"unknown      {part}: {reason}"


def _since(time: datetime | None, now: datetime) -> str:
    if time is None:
        return ""
    return f", since {_length((now - time).total_seconds())}"


def _length(seconds: float) -> str:
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {name}"
    return f"{max(0, int(seconds))} s"
