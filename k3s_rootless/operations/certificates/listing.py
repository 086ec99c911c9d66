"""List the certificates of K3s, from the files in its data directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from k3s_rootless.cluster.certificates import fields, files, renewal
from k3s_rootless.cluster.certificates.records import Condition
from k3s_rootless.errors import RootlessError, error_document
from k3s_rootless.k3s import certificates, layout
from k3s_rootless.k3s.certificates import Renewal
from k3s_rootless.observation import Unknown
from k3s_rootless.operations import installed
from k3s_rootless.printable import json_time
from k3s_rootless.service.observe import files as unit_files

if TYPE_CHECKING:
    from k3s_rootless.cluster.certificates.facts import CertificateFile
    from k3s_rootless.cluster.certificates.records import Certificate
    from k3s_rootless.k3s.version import Version
    from k3s_rootless.operations.context import Context

_BACKUP = "tls-"
"""K3s names the copies after the time at which it made them."""
_AUTHORITY_NAMES = frozenset(Path(name).name for name in certificates.AUTHORITIES)


@dataclass(frozen=True, slots=True)
class Listed:
    """The certificates in a data directory, and those that cannot be read, with the reasons.

    K3s `release` renews a certificate within `days` of its end. `backups` are the copies that
    `k3s certificate rotate` has made, the oldest first. `keyless` are the files of authorities that
    cannot sign, because K3s cannot read their keys.
    """

    data: Path
    release: Version | None
    days: int
    certificates: tuple[Certificate, ...]
    problems: tuple[tuple[str, str], ...]
    backups: tuple[Path, ...]
    running: bool
    keyless: tuple[str, ...] = ()

    @property
    def due(self) -> tuple[Certificate, ...]:
        """The certificates, without authorities, that a start of K3s would renew now."""
        return tuple(
            one
            for one in self.certificates
            if not one.fields.authority
            and one.purpose.renewal is not Renewal.RUNNING
            and one.condition in {Condition.DUE, Condition.EXPIRED}
        )

    @property
    def due_authorities(self) -> tuple[Certificate, ...]:
        """The authorities that have expired, or end within a year.

        Behind an authority, its file has those that have signed it, also replaced ones.
        """
        first = {one.name: one for one in reversed(self.certificates)}
        return tuple(
            one
            for one in self.certificates
            if one.fields.authority
            and first[one.name] is one
            and one.condition in {Condition.DUE, Condition.EXPIRED}
        )


def read(context: Context) -> Listed:
    """Return the certificates. Raises NotRunning if K3s is not installed, RootlessError."""
    state, settings = installed.settings(context)
    release = unit_files.release_of(state.fragment)
    days = certificates.window_days(release)
    found = files.read(settings.data, context.uid)
    if isinstance(found, Unknown):
        raise RootlessError(f"cannot list the certificates: {found.reason}")
    rows, problems = _judged(found.value, days, datetime.now(UTC))
    return Listed(
        settings.data,
        release,
        days,
        rows,
        problems,
        backups(settings.data),
        state.running,
        files.keyless(settings.data),
    )


def backups(data: Path) -> tuple[Path, ...]:
    """Return the copies of certificates that K3s has made and never removes, the oldest first."""
    server = data / Path(layout.TLS).parent
    try:
        found = [one for one in server.iterdir() if _is_backup(one)]
    except OSError:
        return ()
    return tuple(sorted(found, key=lambda one: int(one.name.removeprefix(_BACKUP))))


def _is_backup(path: Path) -> bool:
    text = path.name.removeprefix(_BACKUP)
    return path.name.startswith(_BACKUP) and text.isascii() and text.isdecimal()


def _judged(
    found: Sequence[CertificateFile], days: int, now: datetime
) -> tuple[tuple[Certificate, ...], tuple[tuple[str, str], ...]]:
    rows: list[Certificate] = []
    problems = []
    for file in found:
        try:
            rows += _of_file(file, days, now)
        except RootlessError as error:
            problems.append((file.name, error.message))
    return tuple(rows), tuple(problems)


def _of_file(file: CertificateFile, days: int, now: datetime) -> Iterator[Certificate]:
    """Yield the certificate of a file; of an authority, also those that have signed it."""
    if isinstance(file.content, Unknown):
        raise RootlessError(file.content.reason)
    for number, one in enumerate(fields.read(file.content.value)):
        if number == 0 or Path(file.name).name in _AUTHORITY_NAMES:
            yield renewal.judge(file.name, one, days, now)


def document(listed: Listed) -> dict[str, Any]:
    """Return the JSON form."""
    return {
        "data": str(listed.data),
        "release": None if listed.release is None else str(listed.release),
        "renewal_days": listed.days,
        "certificates": [_row(one) for one in listed.certificates],
        "without_key": list(listed.keyless),
        "backups": list(map(str, listed.backups)),
        "errors": [error_document(f"{name}: {reason}") for name, reason in listed.problems],
    }


def _row(one: Certificate) -> dict[str, Any]:
    return {
        "file": one.name,
        "subject": one.fields.subject,
        "issuer": one.fields.issuer,
        "serial": one.fields.serial,
        "authority": one.fields.authority,
        "usages": list(one.fields.usages),
        "use": one.purpose.use,
        "service": one.purpose.service or None,
        "starts": json_time(one.fields.starts),
        "ends": json_time(one.fields.ends),
        "state": one.condition.value,
        "renewed_by": one.purpose.renewal.value,
        "renewed_from": json_time(one.renewed_from),
    }
