"""Judge certificates: whether each is valid, and what renews it and when."""

from __future__ import annotations

from datetime import datetime, timedelta

from k3s_rootless.cluster.certificates.records import Certificate, Condition, Fields
from k3s_rootless.k3s import certificates
from k3s_rootless.k3s.certificates import Renewal


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
