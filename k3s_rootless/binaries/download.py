"""Download one asset into a file that no program can execute, and verify it while it arrives.

An interrupted download continues where it stopped, if the server confirms that its file is still
the same (If-Range, RFC 9110 section 13.1.5). The checksum is over the whole file in any case.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from k3s_rootless import atomic, byte_size
from k3s_rootless.binaries import https, urls
from k3s_rootless.binaries.part import VALIDATOR_SUFFIX, Part, Writer
from k3s_rootless.errors import PeerError, PreflightFailed, RootlessError

if TYPE_CHECKING:
    import urllib3

    from k3s_rootless.binaries.facts import Asset

Report = Callable[[int, int | None], None]
"""Receives the number of bytes that have arrived, and the size of the file; None if unknown."""
RESERVE = 64 * 1024 * 1024
"""Bytes that stay free on the disk."""
_BETWEEN_REPORTS = 0.1
"""Seconds. A report for each read, which returns 16 KiB, would take a tenth of the time."""
_CHUNK = 256 * 1024
_RANGE = re.compile(r"bytes (?P<first>\d{1,15})-\d{1,15}/(?P<size>\d{1,15})", re.ASCII)
_LONGEST_VALIDATOR = 200
_TRANSIENT = frozenset({408, 429})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class ChecksumMismatch(RootlessError):
    """The file is not the one that was published."""


def fetch(client: https.Client, asset: Asset, path: Path, report: Report) -> None:
    """Try once to download an asset to `path`, where the part of an earlier try can be.

    At the end the file is complete, verified and synced. Raises Transient if another try can
    succeed (the part is kept), ChecksumMismatch (the file is removed), PeerError, RootlessError.
    """
    with _writing(path, asset.name) as file:
        part = _resumed(file, path)
        resumed = part.size > 0
        _transfer(client, asset, part, report)
        file.flush()
        os.fsync(file.fileno())
        found = part.digest.hexdigest()
        if found == asset.sha256:
            return
        path.unlink(missing_ok=True)
        _validator_file(path).unlink(missing_ok=True)
        if resumed:
            raise https.Transient(f"the first part of {asset.name} was damaged")
    raise ChecksumMismatch(
        f"cannot use {asset.name} of {urls.host_of(asset.url)}: its SHA-256 is {found}, but the"
        f" published checksum is {asset.sha256}; the file was removed",
        hint="try again; if it fails again, do not use this server",
    )


def size(client: https.Client, url: str) -> int | None:
    """Return the size of a file on a server; None if the server does not name it.

    One byte is requested: servers answer HEAD less often than GET. Raises PeerError.
    """
    with client.opened(url, {"Range": "bytes=0-0"}) as response:
        if response.status == 206:
            found = _RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
            return None if found is None else int(found["size"])
        if response.status == 200:
            return _number(response.headers.get("Content-Length"))
    host = urls.host_of(url)
    raise PeerError(f"{host} answered with HTTP status {response.status}", status=response.status)


def require_space(directory: Path, needed: int, what: str) -> None:
    """Raise PreflightFailed if a file system has too little space for `needed` more bytes."""
    found = os.statvfs(directory)
    free = found.f_bavail * found.f_frsize
    if free >= needed + RESERVE:
        return
    raise PreflightFailed(
        f"cannot store {what}: it needs {byte_size.text(needed + RESERVE)} on the file system of"
        f" {directory}, where {byte_size.text(free)} are free",
        hint="free some space; `k3s-rootless release prune` removes what is not needed",
    )


def _transfer(client: https.Client, asset: Asset, part: Part, report: Report) -> None:
    headers: Mapping[str, str] = {}
    if part.size:
        headers = {"Range": f"bytes={part.size}-", "If-Range": part.validator}
    with client.opened(asset.url, headers) as response:
        size = _begun(response, asset, part)
        if size is not None:
            require_space(part.path.parent, size - part.size, asset.name)
        report(part.size, size)
        _receive(client, response, asset, part, size, report)
    if size is not None and part.size < size:
        raise https.Transient(
            f"the connection to {urls.host_of(asset.url)} ended after"
            f" {byte_size.text(part.size)} of {byte_size.text(size)}"
        )


def _receive(
    client: https.Client,
    response: urllib3.BaseHTTPResponse,
    asset: Asset,
    part: Part,
    size: int | None,
    report: Report,
) -> None:
    most = asset.largest
    if size is not None:
        most = size
    due = 0.0
    with Writer(part) as writer:
        for data in _arriving(client, response, asset.url):
            if not part.size and https.is_page(data):
                raise PeerError(_page(asset))
            writer.add(data)
            if part.size > most:
                raise PeerError(
                    f"cannot download {asset.name}: {urls.host_of(asset.url)} sends more than"
                    f" {most} bytes"
                )
            now = time.monotonic()
            if now >= due:
                report(part.size, size)
                due = now + _BETWEEN_REPORTS
    report(part.size, size)


def _begun(response: urllib3.BaseHTTPResponse, asset: Asset, part: Part) -> int | None:
    """Check the head of a response; return the size of the whole file, None if it is unknown."""
    _require_status(response.status, asset, part)
    headers = response.headers
    if headers.get("Content-Type", "").lower().startswith("text/html"):
        raise PeerError(_page(asset))
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        host = urls.host_of(asset.url)
        raise PeerError(f"cannot download {asset.name}: {host} sends it compressed")
    if response.status == 200:
        part.restart()
        size = _number(headers.get("Content-Length"))
    else:
        size = _resumed_size(headers.get("Content-Range", ""), part, asset)
    if size is not None and size > asset.largest:
        raise PeerError(
            f"cannot download {asset.name}: it has {byte_size.text(size)}, more than"
            f" {byte_size.text(asset.largest)}"
        )
    _keep_validator(part, headers)
    return size


def _require_status(status: int, asset: Asset, part: Part) -> None:
    host = urls.host_of(asset.url)
    if status == 416:
        part.restart()
        raise https.Transient(f"{host} no longer has the first part of {asset.name}", status=status)
    if status in _TRANSIENT or status >= 500:
        raise https.Transient(f"{host} cannot answer now (HTTP status {status})", status=status)
    if status not in {200, 206}:
        raise PeerError(
            f"cannot download {asset.name}: {host} answered with HTTP status {status}",
            status=status,
        )


def _resumed_size(content_range: str, part: Part, asset: Asset) -> int:
    found = _RANGE.fullmatch(content_range.strip())
    if found is None or int(found["first"]) != part.size:
        part.restart()
        raise https.Transient(
            f"{urls.host_of(asset.url)} sent another part of {asset.name} than requested"
        )
    return int(found["size"])


def _arriving(
    client: https.Client, response: urllib3.BaseHTTPResponse, url: str
) -> Iterator[bytes]:
    """Yield the data of a response; raise Transient if it is too slow."""
    limits = client.limits
    since, received = time.monotonic(), 0
    with https.failures(url):
        while data := response.read1(_CHUNK, decode_content=False):
            yield data
            received += len(data)
            now = time.monotonic()
            if now - since < limits.stall:
                continue
            if received < limits.slowest:
                raise https.Transient(
                    f"{urls.host_of(url)} sent {received} bytes in {now - since:.0f} s"
                )
            since, received = now, 0


@contextmanager
def _writing(path: Path, name: str) -> Iterator[IO[bytes]]:
    """Open the part of a file; a full disk removes it, so that its space is free again."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            yield file
    except OSError as error:
        if error.errno in _FULL:
            path.unlink(missing_ok=True)
        raise RootlessError(f"cannot store {name} in {path.parent}: {atomic.reason(error)}") from (
            error
        )


def _resumed(file: IO[bytes], path: Path) -> Part:
    """Return the part of an earlier try; empty if the validator of its source is not known."""
    part = Part(file, path)
    try:
        part.validator = _validator_file(path).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        part.restart()
    if not part.validator:
        part.restart()
        return part
    part.resume()
    return part


def _keep_validator(part: Part, headers: Mapping[str, str]) -> None:
    """Keep the validator of the file on the server; a weak one is not enough for If-Range.

    A validator that is cut by a crash does not match, and the download starts over.
    """
    tag = headers.get("ETag", "")
    validator = headers.get("Last-Modified", "")
    if tag.startswith('"'):
        validator = tag
    if not validator.isascii() or len(validator) > _LONGEST_VALIDATOR:
        validator = ""
    _validator_file(part.path).write_text(validator, "ascii")
    part.validator = validator


def _validator_file(path: Path) -> Path:
    return path.with_name(path.name + VALIDATOR_SUFFIX)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,15}", text, re.ASCII) else None


def _page(asset: Asset) -> str:
    return (
        f"cannot download {asset.name}: {urls.host_of(asset.url)} sent a web page, perhaps the"
        " login page of a proxy"
    )
