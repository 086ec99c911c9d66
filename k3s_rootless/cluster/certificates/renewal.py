"""Judge certificates: whether each is valid, and what renews it and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from k3s_rootless.cluster.certificates.facts import Certificate, Condition, End, Fields
from k3s_rootless.k3s import certificates
from k3s_rootless.k3s.certificates import Renewal
from k3s_rootless.observation import Known


def judge(name: str, fields: Fields, days: int, now: datetime) -> Certificate:
    """Return a certificate with its state at `now`; K3s renews it within `days` of its end."""
    purpose = certificates.purpose(name)
    window = timedelta(days=days)
    if fields.authority:
        window = timedelta(days=certificates.AUTHORITY_DAYS)
    renewed = None
    if purpose.renewal in {Renewal.START, Renewal.RUNNING}:
        renewed = fields.ends - window
    return Certificate(name, fields, purpose, condition(fields, window, now), renewed)


def condition(fields: Fields, window: timedelta, now: datetime) -> Condition:
    """Return the state of a certificate; K3s compares the times in the same way."""
    if now < fields.starts:
        return Condition.NOT_YET_VALID
    if now > fields.ends:
        return Condition.EXPIRED
    if now + window > fields.ends:
        return Condition.DUE
    return Condition.VALID


def due(found: Sequence[End], days: int, now: datetime) -> tuple[End, ...]:
    """Return the certificates that a start of K3s would renew at `now`, the first end first."""
    leaves = (Renewal.START, Renewal.EACH_START)
    return _ending(found, leaves, now + timedelta(days=days))


def due_authorities(found: Sequence[End], now: datetime) -> tuple[End, ...]:
    """Return the authorities that have expired or end within a year, the first end first."""
    return _ending(found, (Renewal.NEVER,), now + timedelta(days=certificates.AUTHORITY_DAYS))


def _ending(found: Sequence[End], renewals: Sequence[Renewal], before: datetime) -> tuple[End, ...]:
    known = [
        (one.ends.value, one)
        for one in found
        if isinstance(one.ends, Known)
        and one.ends.value < before
        and certificates.purpose(one.name).renewal in renewals
    ]
    return tuple(one for _, one in sorted(known, key=lambda pair: (pair[0], pair[1].name)))
