"""Reader of the certificate files in K3s's data directory. Keys are looked for, and not read."""

from __future__ import annotations

import base64
import binascii
import json
import os
from datetime import datetime
from pathlib import Path

from k3s_rootless.cluster import own_file
from k3s_rootless.cluster.certificates import validity
from k3s_rootless.cluster.certificates.facts import CertificateFile, End, Ends
from k3s_rootless.errors import RootlessError
from k3s_rootless.json_fields import field, parsing, typed
from k3s_rootless.k3s import certificates, layout
from k3s_rootless.observation import Known, Observed, Unknown

_LARGEST = 256 * 1024
"""Limit in bytes of one file; those of K3s have at most 10 KiB."""
_MOST = 200
_RESTART = "K3s writes it at its start: k3s-rootless restart"


def read(data: Path, uid: int) -> Observed[tuple[CertificateFile, ...]]:
    """Read the certificates in a data directory of user `uid`; a new directory has none."""
    found: list[CertificateFile] = []
    for directory in certificates.DIRECTORIES:
        try:
            names = sorted(one.name for one in (data / directory).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            return Unknown(f"cannot read {data / directory}: {reason}")
        listed = [one for one in names if certificates.is_listed(f"{directory}/{one}")]
        found += [_file(data, f"{directory}/{one}", uid) for one in listed[:_MOST]]
    return Known(tuple(found), str(data / layout.TLS))


def ends(data: Path, uid: int) -> Observed[Ends]:
    """Return the end of each file's first certificate, without loading a library for X.509."""
    found = read(data, uid)
    if isinstance(found, Unknown):
        return found
    saved = data / layout.TLS / certificates.REGENERATE
    read_ends = tuple(End(one.name, _end(one.content)) for one in found.value)
    present = saved if saved.exists() else None
    return Known(Ends(read_ends, present, keyless(data)), found.source)


def keyless(data: Path) -> tuple[str, ...]:
    """Return the authorities that cannot sign, because this user cannot read their keys.

    The names are paths below the data directory.
    """
    names = (f"{layout.TLS}/{name}" for name in certificates.AUTHORITIES)
    return tuple(
        name
        for name in names
        if (data / name).exists() and not os.access((data / name).with_suffix(".key"), os.R_OK)
    )


def _end(content: Observed[bytes]) -> Observed[datetime]:
    if isinstance(content, Unknown):
        return content
    try:
        return Known(validity.until(content.value), content.source)
    except RootlessError as error:
        return Unknown(error.message)


def _file(data: Path, name: str, uid: int) -> CertificateFile:
    path = data / name
    try:
        content, _ = own_file.read(
            path,
            uid,
            what="a certificate of K3s,",
            largest=_LARGEST,
            missing=_RESTART,
            damaged=_RESTART,
        )
        if path.name == certificates.DYNAMIC:
            content = _of_secret(content)
    except RootlessError as error:
        return CertificateFile(name, Unknown(error.message))
    return CertificateFile(name, Known(content, str(path)))


def _of_secret(content: bytes) -> bytes:
    """Return the certificate in a Secret in JSON. Raises RootlessError."""
    with parsing(certificates.DYNAMIC):
        secret = typed(json.loads(content), dict)
        text = field(field(secret, "data", dict), "tls.crt", str)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        message = f"cannot read {certificates.DYNAMIC}: its certificate is not Base64"
        raise RootlessError(message) from None
