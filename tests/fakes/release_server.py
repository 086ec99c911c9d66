"""Real TLS server with the layout of K3s's forge and of its channel server.

The forge redirects a download to another path, as the real one does to another host. Faults are set
per path; each is used up by one request unless it is permanent.
"""

from __future__ import annotations

import hashlib
import json
import re
import ssl
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from k3s_rootless.binaries.facts import Limits

if TYPE_CHECKING:
    import trustme

CHANNELS = "/v1-release/channels"
DOWNLOADS = "/k3s-io/k3s/releases/download"
STORED = "/stored"
API = "/repos/k3s-io/k3s/releases/tags"
HOSTS = ("github.com", "api.github.com", "update.k3s.io")
"""The names of the real servers; a proxy can lead to this one in their place."""
PAGE = b"<!DOCTYPE html><html><title>Log in</title></html>"
VERSION = "v1.36.3+k3s1"
LIMITS = Limits(pauses=(0.0, 0.0), opinion=60.0)
"""The limits of users, without the pauses between tries, and with time on a busy machine."""


def binary(version: str = VERSION, size: int = 300_000) -> bytes:
    """Return a program that prints a version of K3s, with data behind its end."""
    text = f"#!/bin/sh\necho 'k3s version {version} (abcdef12)'\nexit 0\n"
    filling = hashlib.shake_128(version.encode()).digest(size - len(text))
    return text.encode() + filling


def checksum_lines(files: dict[str, bytes]) -> bytes:
    """Return the text of a checksum file."""
    lines = [f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()]
    return "".join(lines).encode()


@dataclass
class Fault:
    """What goes wrong: an answer of another kind, a cut after some bytes, or a pause."""

    status: int = 0
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None
    pause: float = 0.0
    ignore_range: bool = False
    permanent: bool = False
    before: Callable[[], object] | None = None


class ReleaseServer:
    """The server: its files, channels and faults, and the requests that it got."""

    def __init__(self, authority: trustme.CA, place: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.channels: dict[str, str | None] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        self.requests: list[tuple[str, str]] = []
        self.etags = True
        self.ca = place / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost", *HOSTS).configure_cert(context)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.releases = self
        self._server.socket = context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.port = int(self._server.server_address[1])
        self.url = f"https://localhost:{self.port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def environ(self) -> dict[str, str]:
        """The environment with which the tool uses this server."""
        return {
            "SSL_CERT_FILE": str(self.ca),
            "INSTALL_K3S_CHANNEL_URL": f"{self.url}{CHANNELS}",
            "INSTALL_K3S_ARTIFACT_URL": f"{self.url}{DOWNLOADS}",
        }

    def publish(self, version: str = VERSION, data: bytes | None = None) -> bytes:
        """Publish a release for amd64; return its binary."""
        data = binary(version) if data is None else data
        images = b"images of " + version.encode()
        files = {
            "k3s-airgap-images-amd64.tar": images,
            "k3s-airgap-images-amd64.tar.gz": images + b" gz",
            "k3s-airgap-images-amd64.tar.zst": images + b" zst",
            "k3s": data,
        }
        self.put(version, "sha256sum-amd64.txt", checksum_lines(files))
        for name, content in files.items():
            self.put(version, name, content)
        self.channels.setdefault("stable", version)
        return data

    def put(self, version: str, name: str, data: bytes) -> None:
        """Publish one file of a release."""
        self.files[self.stored(version, name)] = data

    def stored(self, version: str, name: str) -> str:
        """Return the path to which the forge redirects."""
        return f"{STORED}/{quote(version, safe='')}/{name}"

    def fail(self, path: str, fault: Fault) -> None:
        """Add a fault of a path, after those that it has."""
        self.faults[path].append(fault)

    def fail_file(self, name: str, fault: Fault, version: str = VERSION) -> None:
        """Add a fault of a file of a release."""
        self.fail(self.stored(version, name), fault)

    def requested(self, end: str) -> list[str]:
        """Return the Range headers of the requests for paths with this end."""
        return [range_ for path, range_ in self.requests if path.endswith(end)]

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    releases: ReleaseServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that close their connection."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    server: _Server

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.server.releases.requests.append((path, self.headers.get("Range", "")))
        fault = self._fault(path)
        if fault.before is not None:
            fault.before()
        if fault.status:
            self._send(fault.status, fault.body, fault.headers, fault)
        elif path == CHANNELS:
            self._list()
        elif path.startswith(f"{CHANNELS}/"):
            self._channel(path.rpartition("/")[2])
        elif path.startswith(f"{API}/"):
            self._release(unquote(path.removeprefix(f"{API}/")))
        elif path.startswith(f"{DOWNLOADS}/"):
            self._forge(path.removeprefix(DOWNLOADS))
        else:
            self._file(path, fault)

    def _fault(self, path: str) -> Fault:
        waiting = self.server.releases.faults[path]
        if not waiting:
            return Fault()
        return waiting[0] if waiting[0].permanent else waiting.pop(0)

    def _list(self) -> None:
        data = [
            {
                "id": name,
                "type": "channel",
                "links": {"self": f"{self.server.releases.url}{CHANNELS}/{name}"},
                "name": name,
                **({"latest": tag} if tag else {}),
            }
            for name, tag in self.server.releases.channels.items()
        ]
        body = json.dumps({"type": "collection", "resourceType": "channels", "data": data})
        self._send(200, body.encode(), {"Content-Type": "application/json"})

    def _channel(self, name: str) -> None:
        tag = self.server.releases.channels.get(name)
        if tag is None:
            body = json.dumps({"code": "NotFound", "status": 404, "type": "error"})
            self._send(404, body.encode(), {"Content-Type": "application/json"})
            return
        where = f"https://github.com/k3s-io/k3s/releases/tag/{tag}"
        self._send(302, b"", {"Location": where})

    def _release(self, tag: str) -> None:
        start = self.server.releases.stored(tag, "")
        assets = [
            {
                "name": path.removeprefix(start),
                "size": len(data),
                "digest": f"sha256:{hashlib.sha256(data).hexdigest()}",
            }
            for path, data in self.server.releases.files.items()
            if path.startswith(start)
        ]
        body = json.dumps({"tag_name": tag, "prerelease": False, "assets": assets})
        self._send(200, body.encode(), {"Content-Type": "application/json"})

    def _forge(self, rest: str) -> None:
        if "+" in rest:
            self._send(404, PAGE, {"Content-Type": "text/html"})
            return
        self._send(302, b"", {"Location": f"{self.server.releases.url}{STORED}{rest}?sig=x%2By"})

    def _file(self, path: str, fault: Fault) -> None:
        data = self.server.releases.files.get(path)
        if data is None:
            self._send(404, b"Not Found", {"Content-Type": "text/html; charset=utf-8"})
            return
        etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
        headers["Last-Modified"] = formatdate(1_700_000_000, usegmt=True)
        if self.server.releases.etags:
            headers["ETag"] = etag
        headers |= fault.headers
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        same = self.headers.get("If-Range", etag) in {etag, headers["Last-Modified"]}
        if wanted is None or not same or fault.ignore_range:
            self._send(200, data, headers, fault)
            return
        first = int(wanted[1])
        if first >= len(data):
            self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        last = min(int(wanted[2] or len(data)), len(data) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        headers |= fault.headers
        self._send(206, data[first : last + 1], headers, fault)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], fault: Fault | None = None
    ) -> None:
        fault = fault or Fault()
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        if fault.cut is not None:
            self.wfile.write(body[: fault.cut])
            time.sleep(fault.pause)
            self.close_connection = True
            return
        if not fault.pause:
            self.wfile.write(body)
            return
        for at in range(0, len(body), 4096):
            self.wfile.write(body[at : at + 4096])
            time.sleep(fault.pause)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def release_server(place: Path, authority: trustme.CA) -> Iterator[ReleaseServer]:
    """Run a server; `place` gets the certificate of its authority."""
    server = ReleaseServer(authority, place)
    try:
        yield server
    finally:
        server.close()
