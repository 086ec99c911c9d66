"""Reader of new certificate authorities, in a directory that a user has prepared for K3s.

K3s reads them below `tls` of that directory, with the names that they have in its data directory.
"""

from __future__ import annotations

from pathlib import Path

from k3s_rootless import trust
from k3s_rootless.cluster import own_file
from k3s_rootless.cluster.certificates.records import Authority
from k3s_rootless.k3s import certificates

_LARGEST = 256 * 1024
"""Limit in bytes of one file."""
_KEY = ".key"
SERVICE_KEY = "service.key"
"""The keys that sign the tokens of service accounts."""


def authorities(tls: Path, uid: int) -> tuple[Authority, ...]:
    """Return the authorities in a directory, each with its key, as far as they exist.

    Raises RootlessError if a file cannot be read, or belongs to another user.
    """
    return tuple(_authority(tls, name, uid) for name in certificates.AUTHORITIES)


def service_keys(tls: Path, uid: int) -> bytes:
    """Return the keys of service accounts; empty if the file does not exist.

    Raises RootlessError.
    """
    return _content(tls / SERVICE_KEY, uid)


def risks(tls: Path) -> tuple[str, ...]:
    """Return why other users could change or read the files in a directory."""
    named = (tls / name for name in certificates.AUTHORITIES)
    paths = [one for path in named for one in (path, path.with_suffix(_KEY))]
    found = [trust.risk(tls)]
    found += [
        trust.risk(path) or _readable(path) for path in (*paths, tls / SERVICE_KEY) if path.exists()
    ]
    return tuple(dict.fromkeys(risk for risk in found if risk))


def _readable(path: Path) -> str:
    mode = path.stat().st_mode
    if path.suffix == _KEY and mode & 0o004:
        return f"other users can read the key {path} (mode {mode & 0o7777:04o})"
    return ""


def _authority(tls: Path, name: str, uid: int) -> Authority:
    path = tls / name
    key = path.with_suffix(_KEY)
    return Authority(name, _content(path, uid), _content(key, uid))


def _content(path: Path, uid: int) -> bytes:
    if not path.exists():
        return b""
    content, _ = own_file.read(
        path,
        uid,
        what="a file of an authority,",
        largest=_LARGEST,
        missing=_hint(path),
        damaged=_hint(path),
    )
    return content


def _hint(path: Path) -> str:
    return f"create it again: {path}"
