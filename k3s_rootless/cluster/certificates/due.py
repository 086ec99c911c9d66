"""Judge which certificates are near their ends."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from k3s_rootless.cluster.certificates.facts import End
from k3s_rootless.k3s import certificates
from k3s_rootless.k3s.certificates import Renewal
from k3s_rootless.observation import Known


def leaves(found: Sequence[End], days: int, now: datetime) -> tuple[End, ...]:
    """Return the certificates that a start of K3s would renew at `now`, the first end first."""
    renewals = (Renewal.START, Renewal.EACH_START)
    return _ending(found, renewals, now + timedelta(days=days))


def authorities(found: Sequence[End], now: datetime) -> tuple[End, ...]:
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
