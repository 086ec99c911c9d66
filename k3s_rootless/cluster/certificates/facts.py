"""Frozen records of the certificates in K3s's data directory: their files and ends.

`status` loads them; `records` has those that only `certs` needs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from k3s_rootless.observation import Observed


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """One file with certificates; `name` is its path below the data directory.

    `content` is PEM: the certificate itself, and after it those of its authorities.
    """

    name: str
    content: Observed[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class End:
    """The end of the first certificate in a file."""

    name: str
    ends: Observed[datetime]


@dataclass(frozen=True, slots=True)
class Ends:
    """The ends of all certificates in a data directory.

    `saved` is the file with which K3s notes that its next start must use other certificates; None
    if K3s has not written it since its start. `keyless` are the authorities that cannot sign,
    because K3s cannot read their keys.
    """

    files: tuple[End, ...] = ()
    saved: Path | None = None
    keyless: tuple[str, ...] = ()
