"""What `status` saw, as one screen of text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from k3s_rootless.observation import Known
from k3s_rootless.operations.status import document, parts
from k3s_rootless.operations.status.model import Seen, stale
from k3s_rootless.service.facts import UnitState
from k3s_rootless.service.unit import standing

_SHORT = {
    "child namespace made": "namespace",
    "rootlesskit's API socket": "API socket",
    "kubeconfig written": "kubeconfig",
    "node ready": "node ready",
}
LABEL = 13
"""Columns before what a line says."""
_SOON = timedelta(days=30)


def lines(seen: Seen) -> Iterator[str]:
    """Give the screen: what is asked first stands first, and what there is nothing to say of is
    left out.
    """
    runs = seen.state is None or seen.state.running
    missing = seen.missing if runs else None
    yield f"K3s          {seen.word}" + (f": {missing[0]}: {missing[1]}" if missing else "")
    if seen.state is not None:
        yield from _unit(seen, seen.state)
    elif isinstance(seen.kit, Known):
        yield (
            f"processes    rootlesskit answers, and its child is process {seen.kit.value.child_pid}"
        )
    if release := _release(seen):
        yield f"release      {release}"
    if runs:
        yield from _start(seen)
        if seen.node is not None and seen.node.ready:
            yield f"node         {seen.node.name}, ready{_since(seen.node.since, seen.time)}"
        yield from _usage(seen)
        if isinstance(seen.kit, Known):
            yield f"forwards     {len(seen.kit.value.forwards)} (see: k3s-rootless ports)"
    yield from _kubeconfig(seen)
    if isinstance(seen.lingers, Known):
        yield (
            "linger      "
            f" {'on' if seen.lingers.value else 'off: K3s stops when your last session ends'}"
        )
    files = seen.files.value if isinstance(seen.files, Known) else ()
    for line in standing.drift(files):
        yield f"drift        {line}"
    for one in parts.pending(seen):
        yield f"pending      {one.what}: {one.cause}: {one.command}"
    # What K3s waits for stands in the first line already, and what ended all this is an error.
    shown = {"unit", "kubeconfig"} if seen.ready_without_kubeconfig else {"unit"}
    for part, reason in document.unknown(seen):
        if part not in shown and (missing is None or reason != missing[1]):
            yield f"unknown      {part}: {reason}"


def _unit(seen: Seen, state: UnitState) -> Iterator[str]:
    since = state.started if state.running else state.changed
    result = f", last result {state.result}" if state.result != "success" else ""
    yield (
        f"unit         {state.active_state} ({state.sub_state}),"
        f" {state.file_state or 'not enabled'}{_since(since, seen.time)}{result}"
    )
    yield f"restarts     {_restarts(seen, state)}"
    cause = seen.died_of
    if cause is not None:
        check = f" ({cause.check or cause.id})" if cause.id != "unknown" else ""
        label = (
            "earlier      the start before this one failed: " if cause.earlier else "cause        "
        )
        yield f"{label}{cause.title}{check}"
        if cause.line:
            yield f"             {cause.line}"
        yield "             see what mends it: k3s-rootless diagnose"


def _restarts(seen: Seen, state: UnitState) -> str:
    loop = seen.loop
    if loop is None:
        return str(state.restarts)
    every = f", every {_length(loop.period)}" if loop.period else ""
    if not loop.over:
        return f"{loop.restarts}: K3s dies again and again{every}"
    rest = "systemd has given up" if state.active_state == "failed" else "it has run since then"
    return f"{loop.restarts}: K3s died again and again{every}; {rest}"


def _release(seen: Seen) -> str:
    installed = seen.installed.value if isinstance(seen.installed, Known) else None
    told = {
        "the unit was written for": str(seen.version) if seen.version else None,
        "installed is": installed,
        "running is": seen.running_release,
    }
    known = {text for text in told.values() if text}
    if len(known) < 2:
        return next(iter(known), "unknown")
    return ", ".join(f"{what} {text}" for what, text in told.items() if text)


def _start(seen: Seen) -> Iterator[str]:
    started = seen.state.started if seen.state else None
    told = [
        f"{_SHORT[one.name]} {(one.time - started).total_seconds():.1f} s"
        for one in seen.milestones
        if one.time and started and one.name in _SHORT
    ]
    if told:
        yield f"start        {', '.join(told)}"


def _usage(seen: Seen) -> Iterator[str]:
    usage = seen.usage
    if usage.memory is not None:
        peak = f", at most {_size(usage.memory_peak)}" if usage.memory_peak is not None else ""
        limit = f", of {_size(usage.memory_limit)}" if usage.memory_limit is not None else ""
        yield f"memory       {_size(usage.memory)}{peak}{limit}"
    if usage.cpu is not None:
        limit = f", limited to {usage.cpu_limit:g} CPUs" if usage.cpu_limit else ""
        since = seen.state.started if seen.state else None
        seconds = (seen.time - since).total_seconds() if since else 0.0
        share = f", {usage.cpu / seconds:.1%} of one CPU since the start" if seconds > 1 else ""
        yield f"cpu          {usage.cpu:.1f} s{share}{limit}"


def _kubeconfig(seen: Seen) -> Iterator[str]:
    if not isinstance(seen.kubeconfig, Known):
        if seen.ready_without_kubeconfig:
            yield (
                f"kubeconfig   {seen.kubeconfig.reason}; a restart writes it: k3s-rootless restart"
            )
        return
    found = seen.kubeconfig.value
    old = ", of an earlier start" if stale(found, seen.state) else ""
    open_ = ", readable by others" if found.mode & 0o077 else ""
    age = _length((seen.time - found.modified).total_seconds())
    yield f"kubeconfig   {found.path}, {age} old, mode {found.mode:04o}{open_}{old}"
    ends = parts.certificates(seen)
    told = [
        f"{whose} {_until(end.value, seen.time)}" for whose, end in ends if isinstance(end, Known)
    ]
    if told:
        yield f"certificates {', '.join(told)}"


def _until(end: datetime, now: datetime) -> str:
    day = f"{end:%Y-%m-%d}"
    if end <= now:
        return f"expired on {day}"
    return f"until {day}" + (
        f" (in {_length((end - now).total_seconds())})" if end - now < _SOON else ""
    )


def _since(time: datetime | None, now: datetime) -> str:
    return f", since {_length((now - time).total_seconds())}" if time is not None else ""


def _length(seconds: float) -> str:
    for name, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {name}"
    return f"{max(0, int(seconds))} s"


def _size(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 10 * 2**30 else f"{size / 2**20:.0f} MiB"
