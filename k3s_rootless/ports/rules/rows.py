"""One row: a forward that K3s should make, with its status and what was observed of it."""

from __future__ import annotations

from dataclasses import dataclass

from k3s_rootless.finding import Verdict
from k3s_rootless.ports.facts import Exposure, Holder, Status
from k3s_rootless.ports.rules import reasons, urls
from k3s_rootless.ports.rules.expected import Wanted
from k3s_rootless.ports.rules.socket_index import SocketIndex

_VERDICTS = {
    Status.ANSWERING: Verdict.PASS,
    Status.FORWARDED: Verdict.PASS,
    Status.PENDING: Verdict.WARN,
    Status.STRAY: Verdict.WARN,
    Status.UNKNOWN: Verdict.UNKNOWN,
}
_HELD = frozenset({Status.BLOCKED, Status.SILENT})
"""Statuses for which the row names the owner of the port."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of a forward; the defaults describe a forward that does not exist."""

    parent_ip: str = ""
    forwarded: bool | None = False
    listening: bool | None = None
    inside: bool | None = None
    listens_on: tuple[str, ...] = ()


_UNSEEN = Seen()


def row(
    want: Wanted,
    status: Status,
    reason: str,
    index: SocketIndex,
    *,
    rivals: tuple[str, ...] = (),
    seen: Seen = _UNSEEN,
) -> Exposure:
    """Return the row of one forward; `rivals` are other targets that need the same host port."""
    url, guess = urls.guess(want, seen.parent_ip)
    return Exposure(
        proto=want.proto,
        parent_ip=seen.parent_ip,
        parent_port=want.parent_port,
        child_port=want.child_port,
        kind=want.kind,
        status=status,
        verdict=_verdict(want, status),
        reason=reason,
        namespace=want.namespace,
        service=want.service,
        port_name=want.name,
        target=want.target,
        offset=want.offset,
        forwarded=seen.forwarded,
        listening=seen.listening,
        inside=seen.inside,
        listens_on=seen.listens_on,
        holder=_holder(want, status, index),
        rivals=rivals,
        explanation=reasons.explanation(want, seen.parent_ip),
        url=url,
        url_guess=guess,
    )


def _verdict(want: Wanted, status: Status) -> Verdict:
    if status is Status.NOT_FORWARDED and want.why:
        return Verdict.WARN  # the rules of this release exclude it
    return _VERDICTS.get(status, Verdict.FAIL)


def _holder(want: Wanted, status: Status, index: SocketIndex) -> Holder | None:
    if status not in _HELD:
        return None
    return index.holder(want.key)
