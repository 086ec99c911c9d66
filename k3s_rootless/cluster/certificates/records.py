"""Frozen records of certificates with all their fields, and of new authorities."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from k3s_rootless.k3s.certificates import Purpose


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one certificate; times are UTC.

    `usages` are `client` and `server`. `serial` is in hexadecimal digits.
    """

    subject: str
    issuer: str
    usages: tuple[str, ...]
    authority: bool
    serial: str
    starts: datetime
    ends: datetime


class Condition(Enum):
    """The state of a certificate at one time.

    `due` is a certificate within the window in which K3s renews it, or an authority in the year
    before its end.
    """

    VALID = "valid"
    DUE = "due"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate in a file: its fields, its purpose, its state, and when it is renewed.

    `renewed_from` is the time from which a start of K3s (or K3s itself) renews it; None if nothing
    renews it at a known time.
    """

    name: str
    fields: Fields
    purpose: Purpose
    condition: Condition
    renewed_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority and its key, in PEM; each is empty if it does not exist.

    The certificates are the authority itself, and after it those that have signed it.
    """

    name: str
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)
