"""HTTPS server: handshakes, client certificates, JSON requests and replies, streaming watches."""

from __future__ import annotations

import json
import select
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import yaml

from . import control, health, watching
from .cluster import Object
from .objects import status
from .resources import Query, Refused, Target, resolve
from .watching import Context

_HANDSHAKE = 15.0
_MERGE_TYPES = frozenset(
    {
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
        "application/apply-patch+yaml",
    }
)


class Server(ThreadingHTTPServer):
    """Accepts connections; the thread of each wraps it in TLS, so that no client delays another."""

    daemon_threads = True
    request_queue_size = 512
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], context: Context) -> None:
        self.context = context
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        """Bind without a DNS query for the name of this host, which can take seconds."""
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(cast("tuple[str, int]", self.server_address))
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, and leave the handshake to its thread."""
        plain, peer = self.socket.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        plain.settimeout(_HANDSHAKE)
        wrapped = self.context.certificates.server.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        )
        return wrapped, peer

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: K3s does not log clients that disconnect."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        """Do the TLS handshake; log a failure as Go's server does."""
        connection = cast("ssl.SSLSocket", self.request)
        if self.server.context.gate.hang.is_set():
            self.server.context.gate.stopping.wait()
        try:
            connection.do_handshake()
        except OSError as error:
            self._log_handshake(error)
            raise
        connection.settimeout(None)
        super().setup()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (of the base class)
        """Log no requests, as in K3s."""

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Return the same method for every HTTP verb."""
        if name.startswith("do_"):
            return self._dispatch
        raise AttributeError(name)

    def _dispatch(self) -> None:
        context = self.server.context
        if context.gate.hang.is_set():
            context.gate.stopping.wait()
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            self._route(parts.path, query, body)
        except Refused as refused:
            self._send_json(refused.body["code"], refused.body)

    def _route(self, path: str, query: Query, body: bytes) -> None:
        endpoint = "/" + path.strip("/").split("/")[0]
        supervised = endpoint == control.PREFIX or path == control.SNAPSHOT
        if supervised and self.server.context.control is not None:
            self._supervise(self.server.context.control, path, body)
            return
        if endpoint not in health.OPEN and not cast("ssl.SSLSocket", self.connection).getpeercert():
            raise Refused(status(401, "Unauthorized", "Unauthorized"))
        if self._answer_about_itself(endpoint, query):
            return
        target = resolve(path)
        if target is None:
            document = health.discovery(path)
            if document is None:
                raise Refused(
                    status(404, "NotFound", "the server could not find the requested resource", {})
                )
            self._send_json(200, document)
        elif self.command == "GET":
            self._read(target, query)
        else:
            self._change(target, body)

    def _supervise(self, supervisor: control.Control, path: str, body: bytes) -> None:
        ready = self.server.context.gate.ready.is_set()
        given = self.headers.get("Authorization")
        found = supervisor.answer(self.command or "", path, given, body, ready=ready)
        if found is None:
            self._send(200, "text/plain", b"")
        else:
            self._send_json(200, found)

    def _answer_about_itself(self, endpoint: str, query: Query) -> bool:
        context = self.server.context
        if endpoint in {"/readyz", "/livez", "/healthz"}:
            code, text = health.check(
                endpoint, ready=context.gate.ready.is_set(), verbose="verbose" in query
            )
            self._send(code, "text/plain; charset=utf-8", text.encode())
        elif endpoint == "/version":
            self._send_json(200, health.version(context.release))
        elif endpoint == "/cacerts":
            self._send(200, "text/plain", context.certificates.server_ca)
        elif endpoint == "/ping":
            self._send(200, "text/plain", b"pong")
        else:
            return False
        return True

    def _read(self, target: Target, query: Query) -> None:
        verbs = self.server.context.verbs
        if query.get("watch", "").lower() in {"1", "true"}:
            if target.name:
                query["fieldSelector"] = f"metadata.name={target.name}"
            self._watch(target, query)
        elif target.name:
            self._send_json(200, verbs.read(target))
        else:
            self._send_json(200, verbs.read_all(target, query))

    def _change(self, target: Target, body: bytes) -> None:
        verbs = self.server.context.verbs
        if (self.command == "POST") is bool(target.name) or self.command not in {
            "POST",
            "PUT",
            "PATCH",
            "DELETE",
        }:
            message = "the server does not allow this method on the requested resource"
            raise Refused(status(405, "MethodNotAllowed", message, {}))
        if self.command == "DELETE":
            self._send_json(200, verbs.delete(target))
            return
        item = _parsed(body)
        if self.command == "POST":
            self._send_json(201, verbs.create(target, item))
        elif self.command == "PUT":
            self._send_json(200, verbs.replace(target, item))
        else:
            self._patch(target, item)

    def _patch(self, target: Target, change: Object) -> None:
        kind = self.headers.get_content_type()
        if kind not in _MERGE_TYPES:
            raise Refused(
                status(
                    415,
                    "UnsupportedMediaType",
                    f"the body of the request was in an unknown format: {kind}",
                )
            )
        verbs = self.server.context.verbs
        try:
            self._send_json(200, verbs.patch(target, change))
        except Refused as refused:
            if kind != "application/apply-patch+yaml" or refused.body["code"] != 404:
                raise
            collection = Target(target.resource, target.namespace, None, None)
            change.setdefault("metadata", {})["name"] = target.name
            self._send_json(201, verbs.create(collection, change))

    def _watch(self, target: Target, query: Query) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in watching.events(self.server.context, target, query, self._gone):
            data = json.dumps(event, separators=(",", ":")).encode() + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")

    def _gone(self) -> bool:
        """Return whether the client closed: during a watch it sends nothing else."""
        # poll, not select: a cluster with many Services has descriptors above 1024.
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        return bool(poll.poll(0))

    def _send_json(self, code: int, body: Object) -> None:
        self._send(
            code, "application/json", json.dumps(body, separators=(",", ":")).encode() + b"\n"
        )

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _log_handshake(self, error: OSError) -> None:
        # A bare connect, such as a port check, ends in EOF; a client that distrusts the certificate
        # sends an alert.
        alert = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
        why = "remote error: tls: bad certificate" if alert else "EOF"
        peer = "{}:{}".format(*self.client_address[:2])
        stamp = datetime.now(UTC).strftime("%Y/%m/%d %H:%M:%S")
        self.server.context.journal.info(
            f"Cluster-Http-Server {stamp} http: TLS handshake error from {peer}: {why}"
        )


def _parsed(body: bytes) -> Object:
    try:
        item = json.loads(body)
    except ValueError:
        try:
            item = yaml.safe_load(body)
        except yaml.YAMLError:
            item = None
    if not isinstance(item, dict):
        raise Refused(status(400, "BadRequest", "the object provided is unrecognized"))
    return cast("Object", item)
