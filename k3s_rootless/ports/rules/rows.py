"""One row: a forward that K3s should make, with its status and what was observed of it."""

from __future__ import annotations

from dataclasses import dataclass

from k3s_rootless.finding import Verdict
from k3s_rootless.ports.facts import Exposure, Holder, Status
from k3s_rootless.ports.rules import reasons, urls
from k3s_rootless.ports.rules.expected import ExpectedForward
from k3s_rootless.ports.rules.socket_index import SocketIndex

_VERDICTS = {
    Status.LISTENING: Verdict.PASS,
    Status.FORWARDED: Verdict.PASS,
    Status.PENDING: Verdict.WARN,
    Status.ORPHANED: Verdict.WARN,
    Status.UNKNOWN: Verdict.UNKNOWN,
}
_WITH_OWNER = frozenset({Status.PORT_IN_USE, Status.UNREACHABLE})
"""Statuses for which the row names the owner of the port."""


@dataclass(frozen=True, slots=True)
class Observations:
    """What was observed of a forward; the defaults describe a forward that does not exist."""

    parent_ip: str = ""
    forwarded: bool | None = False
    parent_listening: bool | None = None
    child_listening: bool | None = None
    listens_on: tuple[str, ...] = ()


_NOTHING = Observations()


def row(
    entry: ExpectedForward,
    status: Status,
    reason: str,
    index: SocketIndex,
    *,
    conflicts: tuple[str, ...] = (),
    observed: Observations = _NOTHING,
) -> Exposure:
    """Return the row of one forward; `conflicts` are other targets that need the same host port."""
    url, guess = urls.guess(entry, observed.parent_ip)
    return Exposure(
        proto=entry.proto,
        parent_ip=observed.parent_ip,
        parent_port=entry.parent_port,
        child_port=entry.child_port,
        kind=entry.kind,
        status=status,
        verdict=_verdict(entry, status),
        reason=reason,
        namespace=entry.namespace,
        service=entry.service,
        port_name=entry.name,
        target=entry.target,
        offset=entry.offset,
        forwarded=observed.forwarded,
        parent_listening=observed.parent_listening,
        child_listening=observed.child_listening,
        listens_on=observed.listens_on,
        used_by=_used_by(entry, status, index),
        conflicts_with=conflicts,
        explanation=reasons.explanation(entry, observed.parent_ip),
        url=url,
        url_guess=guess,
    )


def _verdict(entry: ExpectedForward, status: Status) -> Verdict:
    if status is Status.NOT_FORWARDED and entry.why:
        return Verdict.WARN  # the rules of this release exclude it
    return _VERDICTS.get(status, Verdict.FAIL)


def _used_by(entry: ExpectedForward, status: Status, index: SocketIndex) -> Holder | None:
    if status not in _WITH_OWNER:
        return None
    return index.holder(entry.key)
