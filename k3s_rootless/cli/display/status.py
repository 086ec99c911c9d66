"""Show the result of `status` as one screen of text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from k3s_rootless.observation import Known, value_or
from k3s_rootless.operations.readiness import phases

if TYPE_CHECKING:
    from k3s_rootless.journal.facts import Cause
    from k3s_rootless.operations.status.model import Loop, Seen
    from k3s_rootless.service.facts import UnitState
    from k3s_rootless.service.unit.standing import Pending

_SHORT = {
    phases.NAMESPACE_MADE: "namespace",
    phases.SOCKET_MADE: "API socket",
    phases.KUBECONFIG_WRITTEN: "kubeconfig",
    phases.NODE_READY: "node ready",
}
_ACTIONS = {"reload": "reload", "restart": "restart", "up": "update of the unit"}
LABEL = 13
"""Columns before the text of a line."""
_SOON = timedelta(days=30)
_BIG = 10 * 2**30


def lines(seen: Seen) -> Iterator[str]:
    """Yield the lines of the screen, the most important first, without empty ones."""
    yield f"K3s          {headline(seen)}"
    yield from _unit(seen)
    yield f"release      {_release(seen)}"
    if seen.may_run:
        yield from _running(seen)
    yield from _kubeconfig(seen)
    yield from _certificates(seen)
    yield from _lingering(seen)
    for line in seen.drift:
        yield f"drift        {line}"
    for one in seen.pending:
        yield f"pending      {required(one)}; apply it with: {one.command}"
    yield from _unknown(seen)


def headline(seen: Seen) -> str:
    """Return the state of K3s, and why it is not ready, with the phase of its start."""
    missing = seen.missing
    if missing is None:
        return seen.word
    return f"{seen.word}: {missing.reason} (phase: {missing.phase})"


def required(one: Pending) -> str:
    """Return the action that a pending change requires, and why."""
    return f"{_ACTIONS.get(one.what, one.what)} required: {one.cause}"


def _unit(seen: Seen) -> Iterator[str]:
    if seen.state is not None:
        yield _state(seen, seen.state)
        yield f"restarts     {_restarts(seen, seen.state)}"
        yield from _cause(seen.died_of)
    elif isinstance(seen.kit, Known):
        child = seen.kit.value.child_pid
        yield f"processes    rootlesskit is running; its child is PID {child}"


def _state(seen: Seen, state: UnitState) -> str:
    since = state.started if state.running else state.changed
    enabled = state.file_state or "not enabled"
    line = f"unit         {state.active_state} ({state.sub_state}), {enabled}"
    line += _since(since, seen.time)
    if state.result != "success":
        line += f", last result {state.result}"
    return line


def _restarts(seen: Seen, state: UnitState) -> str:
    loop = seen.loop
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


def _release(seen: Seen) -> str:
    releases = {
        "running": seen.running_release or "",
        "installed": value_or(seen.installed, ""),
        "unit written for": "" if seen.version is None else str(seen.version),
    }
    known = {what: release for what, release in releases.items() if release}
    different = set(known.values())
    if len(different) < 2:
        return next(iter(different), "unknown")
    return ", ".join(f"{what} {release}" for what, release in known.items())


def _running(seen: Seen) -> Iterator[str]:
    yield from _start(seen)
    node = seen.ready_node
    if node is not None:
        yield f"node         {node.name}, ready{_since(node.since, seen.time)}"
    yield from _memory(seen)
    yield from _cpu(seen)
    if isinstance(seen.kit, Known):
        yield f"forwards     {len(seen.kit.value.forwards)} (details: k3s-rootless ports)"


def _start(seen: Seen) -> Iterator[str]:
    if seen.state is None or seen.state.started is None:
        return
    started = seen.state.started
    reached = [
        f"{_SHORT[one.name]} {(one.time - started).total_seconds():.1f} s"
        for one in seen.milestones
        if one.time and one.name in _SHORT
    ]
    if reached:
        yield f"start        {', '.join(reached)}"


def _memory(seen: Seen) -> Iterator[str]:
    usage = seen.usage
    if usage.memory is None:
        return
    line = f"memory       {_size(usage.memory)}"
    if usage.memory_peak is not None:
        line += f", peak {_size(usage.memory_peak)}"
    if usage.memory_limit is not None:
        line += f", limit {_size(usage.memory_limit)}"
    yield line


def _cpu(seen: Seen) -> Iterator[str]:
    usage = seen.usage
    if usage.cpu is None:
        return
    line = f"cpu          {usage.cpu:.1f} s"
    if seen.state is not None and seen.state.started is not None:
        seconds = (seen.time - seen.state.started).total_seconds()
        if seconds > 1:
            line += f", {usage.cpu / seconds:.1%} of one CPU since the start"
    if usage.cpu_limit:
        line += f", limit {usage.cpu_limit:g} CPUs"
    yield line


def _kubeconfig(seen: Seen) -> Iterator[str]:
    if not isinstance(seen.kubeconfig, Known):
        if seen.ready_without_kubeconfig:
            reason = seen.kubeconfig.reason
            yield f"kubeconfig   {reason}; a restart writes it again: k3s-rootless restart"
        return
    found = seen.kubeconfig.value
    age = _length((seen.time - found.modified).total_seconds())
    line = f"kubeconfig   {found.path}, {age} old, mode {found.mode:04o}"
    if found.mode & 0o077:
        line += ", readable by other users"
    if seen.stale_kubeconfig:
        line += ", written by an earlier start"
    yield line


def _certificates(seen: Seen) -> Iterator[str]:
    if not isinstance(seen.kubeconfig, Known):
        return
    ends = [
        f"{one.owner} {_until(one.until.value, seen.time)}"
        for one in seen.certificates
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


def _lingering(seen: Seen) -> Iterator[str]:
    lingers = value_or(seen.lingers, None)
    if lingers is None:
        return
    if lingers:
        yield "linger       on"
    else:
        yield "linger       off: K3s stops when your last session ends"


def _unknown(seen: Seen) -> Iterator[str]:
    # The first line already shows why K3s is not ready, and the error why the query failed.
    shown = {"unit"}
    if seen.ready_without_kubeconfig:
        shown.add("kubeconfig")
    missing = seen.missing
    for part, reason in seen.unknown:
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


def _size(size: int) -> str:
    if size >= _BIG:
        return f"{size / 2**30:.1f} GiB"
    return f"{size / 2**20:.0f} MiB"
